// Tool calls that wait for the owner's word.

import { items, path, post } from "../api.js";
import { h } from "../dom.js";
import { markdown } from "../markdown.js";
import { botsOf } from "../paging.js";
import { button, empty, loaded, pageHead, say, timeOf } from "../ui.js";

export async function approvalsPage({ signal }) {
  const list = loaded(async (reload) => {
    const waiting = await items("/v1/approvals", { signal });
    if (waiting.length === 0) return empty("approve", "Nothing waits for you", "A bot asks here before it uses a tool that its settings keep for your word.");
    const bots = await botsOf(waiting, signal);
    return h("div", { class: "stack" }, waiting.map((one) => approval(one, bots.get(one.bot), reload)));
  });
  await list.ready;
  return [pageHead("Approvals"), list];
}

function approval(one, bot, reload) {
  const decide = (decision, done) => async () => {
    await post(path("v1", "approvals", one.code), { decision });
    say(done);
    await reload();
  };
  return h("section", { class: "card" }, h("h2", {}, bot?.name ?? one.bot), h("div", { class: "md" }, markdown(one.text)), h("p", { class: "muted" }, "Asked ", timeOf(one.asked_at), ". Without a word from you it goes on without the call ", timeOf(one.until), "."),
    h("p", { class: "actions" }, button("Allow once", decide("once", "Allowed."), { class: "primary" }), button("Always in this conversation", decide("always", "Allowed from now on.")), button("Deny", decide("deny", "Denied."), { class: "danger" })));
}
