// Work that failed for good: looked at, done again, or discarded.

import { get, path, post } from "../api.js";
import { botHref } from "../bot_page.js";
import { h, replace } from "../dom.js";
import { botsOf, more } from "../paging.js";
import { badge, button, confirm, empty, loaded, pageHead, say, timeOf } from "../ui.js";
import { may } from "../who.js";

const STATES = { open: ["bad", "Open"], replayed: ["good", "Replayed"], discarded: ["quiet", "Discarded"] };
const QUEUES = { turns: "A message was not answered", outbound: "A reply was not delivered" };

export async function deadLettersPage({ signal }) {
  const list = loaded(async (reload) => {
    const first = await get("/v1/dead-letters", { signal });
    if (first.items.length === 0) return empty("dead", "No dead letters", "What cannot be done after many tries, such as a reply to a channel that refuses it, is kept here so that nothing is lost.");
    const cards = async (letters) => {
      const bots = await botsOf(letters, signal);
      letters.sort((a, b) => (a.status === "open" ? 0 : 1) - (b.status === "open" ? 0 : 1) || b.failed_at - a.failed_at);
      return letters.map((letter) => letterCard(letter, bots.get(letter.bot), reload));
    };
    const list = h("div", { class: "stack" }, await cards(first.items));
    return [list, more({ path: "/v1/dead-letters", next: first.next, label: "Older dead letters", signal, show: async (letters) => list.append(...(await cards(letters))) })];
  });
  await list.ready;
  return [pageHead("Dead letters"), list];
}

function letterCard(letter, bot, reload) {
  const act = async (name, done) => {
    await post(path("v1", "dead-letters", letter.id, name));
    say(done);
    await reload();
  };
  const place = h("div", {});
  const details = h("details", { ontoggle: () => {
    if (details.open && !place.firstChild) replace(place, loaded(async () => h("pre", { tabindex: "0" }, JSON.stringify((await get(path("v1", "dead-letters", letter.id))).task, null, 2))));
  } }, h("summary", {}, "What was to be done"), place);
  return h("section", { class: "card" }, h("div", { class: "bot-top" }, h("h2", {}, QUEUES[letter.queue.replace(/-dead-letters$/, "")] ?? `Work from ${letter.queue}`), badge(...STATES[letter.status])),
    h("p", {}, letter.reason), h("p", { class: "muted" }, bot && [h("a", { href: botHref(bot) }, bot.name), " · "], timeOf(letter.failed_at), " · ", h("code", {}, letter.id)), details,
    letter.status === "open" && may("bots:write") && h("p", { class: "actions" }, button("Replay", () => act("replay", "It is on its way again."), { class: "primary" }),
      button("Discard", async () => {
        if (await confirm({ title: "Discard this dead letter?", text: "It is not done any more.", action: "Discard it" })) await act("discard", "Discarded.");
      }, { class: "danger" })));
}
