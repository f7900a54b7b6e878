// What happened that the owner should know.

import { get, path, remove } from "../api.js";
import { botHref } from "../bot_page.js";
import { h } from "../dom.js";
import { botsOf, more } from "../paging.js";
import { button, empty, loaded, pageHead, timeOf } from "../ui.js";

export async function noticesPage({ signal }) {
  const list = loaded(async (reload) => {
    const first = await get("/v1/notices", { signal });
    if (first.items.length === 0) return empty("bell", "All quiet", "A channel that refuses a token, a budget that runs out, a schedule that keeps failing: you read of it here.");
    const rows = async (notices) => {
      const bots = await botsOf(notices, signal);
      return notices.map((notice) => row(notice, bots.get(notice.bot), reload));
    };
    const list = h("ul", { class: "rows card" }, await rows(first.items));
    return [list, more({ path: "/v1/notices", next: first.next, label: "Older notices", signal, show: async (notices) => list.append(...(await rows(notices))) })];
  });
  await list.ready;
  return [pageHead("Notices"), list];
}

function row(notice, bot, reload) {
  const dismiss = async () => {
    await remove(path("v1", "notices", notice.about));
    await reload();
  };
  return h("li", {}, h("div", {}, h("p", {}, notice.text), h("p", { class: "sub" }, bot && [h("a", { href: botHref(bot) }, bot.name), " · "], timeOf(notice.at))), button("Dismiss", dismiss, { class: "small", needs: "account:write" }) ?? "");
}
