// Lists that go on: the first page is there with the page itself, each next one by a button.

import { botPath, get } from "./api.js";
import { h } from "./dom.js";
import { button } from "./ui.js";

/** A list's path with the place where its next page begins. */
const at = (path, cursor) => `${path}${path.includes("?") ? "&" : "?"}cursor=${cursor}`;

/** The button that brings what follows the first page of a list; nothing where nothing follows. `show` is given the items of each page. */
export function more({ path, next, show, label = "Show more", signal }) {
  if (next === null) return null;
  let cursor = next;
  const place = h("p", { class: "more" }, button(label, async () => {
    const page = await get(at(path, cursor), { signal });
    await show(page.items);
    cursor = page.next;
    if (cursor === null) place.remove();
  }));
  return place;
}

/** The bots that these records are about, by their ids; those that are gone are left out. */
export async function botsOf(records, signal) {
  const ids = [...new Set(records.map((record) => record.bot).filter(Boolean))];
  const found = await Promise.all(ids.map((id) => get(botPath(id), { signal }).catch((error) => {
    if (error.status === 404 || error.status === 403) return null;
    throw error;
  })));
  return new Map(found.filter(Boolean).map((bot) => [bot.id, bot]));
}
