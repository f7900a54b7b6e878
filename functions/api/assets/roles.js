// What people of an account may be.

import { field } from "./forms.js";

export const ROLES = [["viewer", "viewer: may look"], ["operator", "operator: may change bots and talk to them"], ["owner", "owner: may do everything"]];

/** A field for a role. */
export const roleField = (value) => field({ label: "Role", path: "role", type: "select", value, options: ROLES });
