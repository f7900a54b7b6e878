// What comes into a conversation while its page is open: told by a stream of events, or asked for where there is none.
//
// An open stream, and a question that waits for its answer, keep a function running. So nothing is asked while nobody can see the
// page, and little while nobody has moved there for a while.

import { botPath, get } from "./api.js";

/** For how many seconds the API waits for something new. */
const WAIT = 20;
/** The same while a turn is under way: it may end without an entry that says so. */
const BUSY_WAIT = 2;
/** After how long without a word or a touch somebody counts as away, in ms, and how often is looked then. */
const AWAY_AFTER = 5 * 60_000;
const AWAY_PAUSE = 60_000;
/** How long is waited after a failure, in ms: twice as long each time. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** How long a stream may be lost before it is told, in ms: the browser opens it again by itself. */
const PATIENCE = 5_000;
const TOUCHES = ["pointerdown", "keydown", "focusin", "scroll"];

/**
 * Follows a bot's main conversation from a page of it on, until `signal` aborts. `on.page` is given what is new, as `GET …/chat`
 * answers it; `on.trouble` is told that the connection is lost; `on.gone` why there is nothing to follow any more.
 */
export async function follow(bot, page, signal, on) {
  const seen = { next: page.next, busy: page.busy, draft: page.draft ?? null };
  let touched = Date.now();
  let stir = () => {};
  let pause = FIRST_PAUSE;
  let canStream = true;

  const touch = (isNews) => {
    const wasAway = isAway();
    touched = Date.now();
    if (wasAway || isNews) stir();
  };
  const isAway = () => Date.now() - touched > AWAY_AFTER;
  /** Ends after `ms`, or when somebody comes back, or when the page is left. */
  const rest = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stir = () => {
      clearTimeout(timer);
      resolve();
    };
  });
  const show = (news) => {
    Object.assign(seen, { next: news.next, busy: news.busy, draft: news.draft ?? null });
    if (news.items.length > 0) touched = Date.now();
    pause = FIRST_PAUSE;
    on.page(news);
  };
  const look = async (wait) => {
    const known = new TextEncoder().encode(seen.draft?.text ?? "").length;
    show(await get(`${botPath(bot, "chat")}?after=${seen.next}&wait=${wait}&draft=${known}`, { signal }));
  };

  /** Reads the stream until the page is hidden, nobody is there, or the stream is over. Whether it was ever open. */
  const stream = () => new Promise((resolve) => {
    const source = new EventSource(`${botPath(bot, "chat", "events")}?after=${seen.next}`);
    let wasOpen = false;
    let lost = null;
    const end = () => {
      clearInterval(watch);
      clearTimeout(lost);
      source.close();
      resolve(wasOpen);
    };
    const watch = setInterval(() => isAway() && end(), AWAY_PAUSE);
    stir = () => (signal.aborted || document.hidden) && end();
    const tell = (news) => show({ items: [], next: seen.next, busy: seen.busy, draft: seen.draft, ...news });
    const heard = (name, read) => source.addEventListener(name, (event) => tell(read(JSON.parse(event.data))));
    source.addEventListener("open", () => {
      wasOpen = true;
      clearTimeout(lost);
      lost = null;
    });
    // A stream ends now and then, and is opened again by the browser; only one that was refused is closed.
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) end();
      else lost ??= setTimeout(on.trouble, PATIENCE);
    });
    // An answer stands in place of what was written of it.
    heard("entry", (entry) => ({ items: [entry], next: entry.seq + 1, ...(entry.kind === "assistant" && { draft: null }) }));
    heard("draft", (draft) => ({ draft: draft.text === "" ? null : draft }));
    heard("state", ({ busy }) => ({ busy }));
  });

  const touches = (event) => touch(event.type === "visibilitychange");
  const options = { signal, passive: true, capture: true };
  for (const name of TOUCHES) document.addEventListener(name, touches, options);
  document.addEventListener("visibilitychange", touches, { signal });
  signal.addEventListener("abort", () => stir(), { once: true });

  while (!signal.aborted) {
    try {
      if (document.hidden) {
        await rest(2 ** 31 - 1);
      } else if (isAway()) {
        await rest(AWAY_PAUSE);
        if (!signal.aborted && !document.hidden) await look(0);
      } else if (canStream) {
        const wasOpen = await stream();
        // A refusal says why where it can be read; where the question is answered all the same, there is no stream here.
        if (!signal.aborted && !document.hidden && !isAway()) {
          await look(0);
          canStream = wasOpen;
        }
      } else {
        await look(seen.busy ? BUSY_WAIT : WAIT);
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401 || signal.aborted) return;
      if (error.status === 403 || error.status === 404) {
        on.gone(error);
        return;
      }
      on.trouble();
      await rest(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }
}
