// Who belongs to the account, who is invited to it, and one's own way out.

import { Problem, get, patch, path, post, remove } from "../api.js";
import { h } from "../dom.js";
import { field, form } from "../forms.js";
import { ROLES, roleField } from "../roles.js";
import { button, card, confirm, empty, linkButton, loaded, pageHead, say, timeOf } from "../ui.js";
import { whoIsThere } from "../who.js";

export async function membersPage({ signal }) {
  // An invitation is for whoever has an address, and only an identity provider tells addresses.
  const ways = get("/v1/sign-in", { signal });
  const list = loaded(async (reload) => {
    const { items: members, invitations } = await get("/v1/members", { signal });
    if (members.length + invitations.length === 0) return empty("people", "Nobody else yet", "Everybody whom you invite sees the same bots, and may do what their role says.");
    return [members.length > 0 && card("Members", h("ul", { class: "rows" }, members.map((member) => memberRow(member, reload)))),
      invitations.length > 0 && card("Invited", h("ul", { class: "rows" }, invitations.map((one) => invitedRow(one, reload))))];
  });
  const [{ openid }] = await Promise.all([ways, list.ready]);
  const email = field({ label: "E-mail address", path: "email", type: "email" });
  const role = roleField("operator");
  const invite = openid
    ? card("Invite somebody", h("p", { class: "muted" }, `They sign in through ${openid.name} with this address, and find the invitation there.`), form({ fields: [email, role], action: "Invite", needs: "admin", send: async () => {
      if (email.value.trim() === "") throw new Problem(400, "Missing", "email: write whom to invite.");
      await post("/v1/members", { email: email.value.trim(), role: role.value });
      say("Invited.");
      email.input.value = "";
      await list.reload();
    } }))
    : card("Let somebody in", h("p", {}, "No identity provider is set up here, so nobody can be invited by e-mail. A one-time link lets a browser in all the same."), h("p", { class: "actions" }, linkButton("Make a one-time link", "/browsers", "primary")));
  return [pageHead("Members"), list, invite, accountName(), leave()];
}

function accountName() {
  const { account } = whoIsThere();
  const name = field({ label: "What it is called", path: "name", value: account.name });
  return card("The account", form({ fields: [name], action: "Save", needs: "account:write", send: async () => {
    await patch("/v1/account", { name: name.value.trim() });
    // The name stands in the frame, too.
    location.reload();
  } }));
}

function memberRow(member, reload) {
  const select = h("select", { "aria-label": `Role of ${member.name}` }, ROLES.map(([role]) => h("option", { value: role }, role)));
  select.value = member.role;
  return h("li", {}, h("div", {}, h("strong", {}, member.name || member.email || member.user), h("p", { class: "sub" }, member.email, member.joined_at && [" · since ", timeOf(member.joined_at)])), h("div", { class: "inline" }, select,
    button("Change", async () => {
      await patch(path("v1", "members", member.user), { role: select.value });
      say("Saved.");
      await reload();
    }, { class: "small" }),
    button("Take out", async () => {
      if (!(await confirm({ title: `Take ${member.name} out?`, text: "Their browsers are out at once.", action: "Take out" }))) return;
      await remove(path("v1", "members", member.user));
      await reload();
    }, { class: "danger small" })));
}

function invitedRow(one, reload) {
  return h("li", {}, h("div", {}, one.email, h("p", { class: "sub" }, `${one.role} · until `, timeOf(one.expires_at))), button("Take back", async () => {
    await remove(path("v1", "invitations", one.email));
    await reload();
  }, { class: "small" }));
}

/** Only a person belongs to an account; a key or a browser that a link let in has nothing to leave. */
function leave() {
  const me = whoIsThere();
  if (me.actor?.kind !== "user") return null;
  return card("Your own place", h("p", {}, `You are ${me.role} of ${me.account.name}.`), h("p", { class: "actions" }, button("Leave this account", async () => {
    if (!(await confirm({ title: `Leave ${me.account.name}?`, text: "You do not see its bots any more. An owner can invite you again.", action: "Leave it", stay: "Stay" }))) return;
    await post("/v1/me/leave");
    location.assign("/");
  }, { class: "danger" })));
}
