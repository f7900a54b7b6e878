// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

export const count = (number) => whole.format(number);
export const compact = (number) => (number < 10_000 ? whole.format(number) : short.format(number));

/** Micro-dollars: `$1.50`, and below a cent as many digits as there are. */
export function dollars(micros) {
  if (micros % 10_000 === 0 || micros >= 1_000_000) return `$${(micros / 1_000_000).toFixed(2)}`;
  return `$${(micros / 1_000_000).toFixed(6).replace(/0+$/, "")}`;
}

/** What stands in a field for dollars, as micro-dollars; `null` if it is empty. */
export function micros(text) {
  const trimmed = text.trim().replace(/^\$/, "");
  return trimmed === "" ? null : Math.round(Number(trimmed) * 1_000_000);
}

/** Micro-dollars as a field has them. */
export const inDollars = (amount) => (amount === null || amount === undefined ? "" : String(amount / 1_000_000));

export const when = (at) => dateTime.format(new Date(at));

/** The same by the clock of a time zone; by UTC's where the browser knows no zone of that name. */
export function whenIn(at, zone) {
  const say = (timeZone) => new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit", timeZone }).format(new Date(at));
  try {
    return say(zone);
  } catch {
    return `${say("UTC")} UTC`;
  }
}

export const time = (at) => clock.format(new Date(at));

/** `3 minutes ago`, `in 2 hours`. */
export function ago(at, now = Date.now()) {
  const seconds = (at - now) / 1000;
  for (const [unit, length] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return Math.abs(seconds) < 10 ? "just now" : relative.format(Math.round(seconds), "second");
}

/** A duration in milliseconds: `340 ms`, `2.4 s`, `3 min`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 360_000) / 10} h`;
}

/** The limits of a budget, each with what of it is used and both in words. */
export function budgetLimits(budget, used) {
  return [
    budget?.micros !== undefined && [used.micros, budget.micros, `${dollars(used.micros)} of ${dollars(budget.micros)}`],
    budget?.turns !== undefined && [used.turns, budget.turns, `${count(used.turns)} of ${plural(budget.turns, "turn")}`],
  ].filter(Boolean);
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`;
}
