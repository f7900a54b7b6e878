// Cron expressions in words, where a sentence can say them; nothing is guessed, and the API alone says when a schedule runs.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY_NAMES = { SUN: 0, MON: 1, TUE: 2, WED: 3, THU: 4, FRI: 5, SAT: 6 };
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const MONTH_NAMES = Object.fromEntries(MONTHS.map((month, index) => [month.slice(0, 3).toUpperCase(), index + 1]));
/** More times of one day than these are not listed. */
const MOST_TIMES = 4;

const NICKNAMES = { "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *" };

const joined = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`);
const two = (number) => String(number).padStart(2, "0");
const ordinal = (number) => `${number}${number % 100 > 10 && number % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][number % 10] ?? "th"}`;

/** The numbers of a field that names some: `1,3-5`. `null`: it names all of them, or says what is not understood here. */
function numbers(field, least, most, names = {}) {
  const found = new Set();
  for (const part of field.toUpperCase().split(",")) {
    const match = /^(\w+)(?:-(\w+))?$/.exec(part);
    if (!match) return null;
    const read = (text) => names[text] ?? (/^\d+$/.test(text) ? Number(text) : NaN);
    const [from, to] = [read(match[1]), read(match[2] ?? match[1])];
    if (!(from >= least && to <= most && from <= to)) return null;
    for (let number = from; number <= to; number += 1) found.add(number);
  }
  return [...found].sort((a, b) => a - b);
}

/** The step of a field that names every so many: 15 of every fifteenth. */
const stepOf = (field) => Number(/^\*\/([1-9]\d?)$/.exec(field)?.[1] ?? NaN);

function timesInWords(minute, hour) {
  const [minutes, hours] = [numbers(minute, 0, 59), numbers(hour, 0, 23)];
  if (minute === "*" && hour === "*") return "every minute";
  if (hour === "*" && 60 % stepOf(minute) === 0) return `every ${stepOf(minute)} minutes`;
  if (minutes?.length === 1) {
    if (hour === "*") return minutes[0] === 0 ? "every hour" : `every hour, at ${minutes[0]} past`;
    if (24 % stepOf(hour) === 0) return `every ${stepOf(hour)} hours${minutes[0] === 0 ? "" : `, at ${minutes[0]} past`}`;
  }
  if (!minutes || !hours || minutes.length * hours.length > MOST_TIMES) return null;
  return `at ${joined(hours.flatMap((one) => minutes.map((other) => `${two(one)}:${two(other)}`)))}`;
}

function weekdaysInWords(field) {
  if (field === "*") return "";
  const named = numbers(field, 0, 7, DAY_NAMES);
  if (!named) return null;
  // Sunday is 0 and 7.
  const days = [...new Set(named.map((day) => day % 7))].sort((a, b) => a - b);
  const key = days.join("");
  if (key === "12345") return "on weekdays";
  if (key === "06") return "on weekends";
  return days.length === 7 ? "" : `on ${joined(days.map((day) => `${DAYS[day]}s`))}`;
}

function monthDaysInWords(field) {
  if (field === "*") return "";
  if (field.toUpperCase() === "L") return "on the last day of the month";
  const days = numbers(field, 1, 31);
  return days && `on the ${joined(days.map(ordinal))} of the month`;
}

/** A cron expression of five fields as a sentence, such as `At 09:00 on weekdays`; `null` where there is none that is exact. */
export function cronInWords(expression) {
  const fields = (NICKNAMES[expression.trim().toLowerCase()] ?? expression).trim().split(/\s+/);
  if (fields.length !== 5) return null;
  const [minute, hour, monthDay, month, weekday] = fields;
  const times = timesInWords(minute, hour);
  const [onMonthDays, onWeekdays] = [monthDaysInWords(monthDay), weekdaysInWords(weekday)];
  const months = month === "*" ? [] : numbers(month, 1, 12, MONTH_NAMES);
  if (times === null || onMonthDays === null || onWeekdays === null || !months) return null;
  // Where both are given, either is enough.
  const days = onMonthDays && onWeekdays ? `${onMonthDays} and ${onWeekdays}` : onMonthDays || onWeekdays || (times.startsWith("at") ? "every day" : "");
  const words = [times, days, months.length > 0 && `in ${joined(months.map((one) => MONTHS[one - 1]))}`].filter(Boolean).join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
