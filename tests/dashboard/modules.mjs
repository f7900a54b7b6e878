// The dashboard's modules by themselves, in the browser that they are written for: what texts become, and how long that takes.

import assert from "node:assert/strict";

/** What a text that a bot writes becomes. */
const MARKDOWN = [
  ["plain", "<p>plain</p>"],
  ["one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"],
  ["# Head\ntext", '<p class="md-heading">Head</p><p>text</p>'],
  ["**bold _both_** and *it*, ~~gone~~", "<p><strong>bold <em>both</em></strong> and <em>it</em>, <s>gone</s></p>"],
  ["2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"],
  ["`a **b**` and ``c ` d``", "<p><code>a **b**</code> and <code>c ` d</code></p>"],
  ["<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"],
  ["[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"],
  ["[x](https://a.example/b) https://c.example.", '<p><a href="https://a.example/b" target="_blank" rel="noopener noreferrer nofollow">x</a> <a href="https://c.example" target="_blank" rel="noopener noreferrer nofollow">https://c.example</a>.</p>'],
  ["- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"],
  ["3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'],
  ["- [x] done\n- [ ] open", "<ul><li>☑ done</li><li>☐ open</li></ul>"],
  ["> a\n> > b", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>"],
  ["| a | b |\n|---|---|\n| 1 | 2 |", '<div class="scroll" tabindex="0"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>'],
  ["```\n<b>\n", '<pre tabindex="0"><code>&lt;b&gt;\n</code></pre>'],
];

/** Texts that are written to take long, and of how many characters they are made. */
const HOSTILE = {
  "quotes within quotes": () => `${">".repeat(6_000)} x`,
  "lists within lists": () => Array.from({ length: 2_000 }, (_, depth) => `${"  ".repeat(depth)}- x`).join("\n"),
  "brackets": () => "[".repeat(100_000),
  "half links": () => "[a](".repeat(30_000),
  "backticks of every length": () => Array.from({ length: 400 }, (_, length) => "`".repeat(length + 1)).join(" "),
  "stars": () => "*a **b ".repeat(20_000),
  "underscores": () => "_a ".repeat(40_000),
  "half a table": () => `| a |\n${"|".repeat(100_000)}x`,
  "half a rule": () => `${"- ".repeat(50_000)}x`,
  "addresses": () => "https://".repeat(20_000),
  "spaces": () => `${" ".repeat(100_000)}x`,
};
/** In ms; each of them takes a small part of it on an idle machine. */
const LONGEST = 1_500;

/** Cron expressions in words; `null`: no sentence says them exactly. */
const CRON = [
  ["0 9 * * 1-5", "At 09:00 on weekdays"],
  ["30 7 * * *", "At 07:30 every day"],
  ["0 9,18 * * 0,6", "At 09:00 and 18:00 on weekends"],
  ["*/15 * * * *", "Every 15 minutes"],
  ["0 * * * *", "Every hour"],
  ["5 */6 * * *", "Every 6 hours, at 5 past"],
  ["0 8 1 * *", "At 08:00 on the 1st of the month"],
  ["0 8 L * *", "At 08:00 on the last day of the month"],
  ["0 0 13 * FRI", "At 00:00 on the 13th of the month and on Fridays"],
  ["0 9 * JAN,JUL MON", "At 09:00 on Mondays in January and July"],
  ["@daily", "At 00:00 every day"],
  ["*/7 * * * *", null],
  ["0 9 * * 1#2", null],
  ["30 0 9 * * *", null],
  ["nonsense", null],
];

/** Checks the modules that `page`, a page of the dashboard, has loaded. */
export async function checkModules(page) {
  const load = () => page.evaluate(async () => {
    const base = document.querySelector("script[type=module]").src.replace(/app\.js$/, "");
    globalThis.modules = { ...(await import(`${base}markdown.js`)), ...(await import(`${base}cron.js`)), ...(await import(`${base}format.js`)), ...(await import(`${base}chart.js`)), ...(await import(`${base}pages/browsers.js`)), ...(await import(`${base}pages/audit.js`)) };
  });
  await load();
  for (const [text, html] of MARKDOWN) {
    const made = await page.evaluate((one) => {
      const place = document.createElement("div");
      place.append(...globalThis.modules.markdown(one));
      return place.innerHTML;
    }, text);
    assert.equal(made, html, text);
  }
  for (const [name, make] of Object.entries(HOSTILE)) {
    const took = await page.evaluate((text) => {
      const began = performance.now();
      globalThis.modules.markdown(text);
      return performance.now() - began;
    }, make());
    assert.ok(took < LONGEST, `${name} take ${Math.round(took)} ms`);
  }
  for (const [expression, words] of CRON) {
    assert.equal(await page.evaluate((one) => globalThis.modules.cronInWords(one), expression), words, expression);
  }
  const chart = await page.evaluate(() => {
    // Eight parts on the first day, and one of them on the second.
    const parts = Array.from({ length: 8 }, (_, index) => ({ name: `part ${index}`, value: 80 - index * 10 }));
    const figure = globalThis.modules.barsByDay("Turns", [{ day: "2026-11-21", value: 360, parts }, { day: "2026-11-22", value: 5, parts: [{ name: "part 7", value: 5 }] }], String, false);
    const texts = (selector) => [...figure.querySelectorAll(selector)].map((one) => one.textContent);
    const heights = [...figure.querySelectorAll("g")].map((day) => [...day.querySelectorAll(".piece")].map((piece) => Math.round(Number(piece.getAttribute("height")))));
    return { legend: texts(".legend li"), heads: texts("thead th"), last: texts("tbody tr:last-child > *"), heights, about: figure.querySelector("desc").textContent };
  });
  assert.deepEqual(chart.legend, ["part 080", "part 170", "part 260", "part 350", "part 440", "3 others65"]);
  assert.deepEqual(chart.heads, ["Day", "All", "part 0", "part 1", "part 2", "part 3", "part 4", "3 others"]);
  assert.deepEqual(chart.last, ["Nov 22", "5", "0", "0", "0", "0", "0", "5"]);
  assert.deepEqual(chart.heights.map((pieces) => pieces.length), [6, 1]);
  assert.match(chart.about, /3 others: 65\.$/);
  const inZone = (zone) => page.evaluate((one) => globalThis.modules.whenIn(1_795_507_200_000, one), zone);
  assert.match(await inZone("Europe/Berlin"), /24.*9:00/);
  assert.match(await inZone("Moon/Tranquility"), /24.*8:00.* UTC$/);
  const agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1";
  assert.equal(await page.evaluate((one) => globalThis.modules.browserName(one), agent), "Safari on iPhone");
  const told = (action) => page.evaluate((one) => globalThis.modules.toldOf(one, new Map([["bot_1", "heron"]])), action);
  assert.equal(await told("PATCH /v1/bots/bot_1"), "Changed heron");
  assert.equal(await told("PUT /v1/bots/heron/files/notes/a%20b.md"), "Wrote notes/a b.md of heron");
  assert.equal(await told("DELETE /v1/keys/key_1"), "Removed an API key");
}
