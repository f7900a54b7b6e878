// Invitations to accounts of others: told to who is signed in, and followed or declined.

import { path, post } from "./api.js";
import { h } from "./dom.js";
import { button, card, say, timeOf } from "./ui.js";

const MAY = { owner: "you may do everything there", operator: "you may change its bots and talk to them", viewer: "you may look at its bots" };

/** A card for each invitation of `GET /v1/me`. */
export function invitations(me) {
  return (me.invitations ?? []).map((one) => {
    const answer = (word) => post(path("v1", "me", "invitations", one.account, word));
    const element = card(`You are invited to ${one.name}`,
      h("p", {}, `As ${one.role}: ${MAY[one.role] ?? "as its owners say"}.`, one.invited_at && [" Invited ", timeOf(one.invited_at), "."]),
      h("p", { class: "actions" },
        button("Join", async () => {
          await answer("accept");
          // The browser is in that account now.
          location.assign("/");
        }, { class: "primary", "aria-label": `Join ${one.name}` }),
        button("Decline", async () => {
          await answer("decline");
          say("Declined.");
          element.remove();
        }, { "aria-label": `Decline the invitation to ${one.name}` })));
    element.classList.add("invitation");
    return element;
  });
}
