// How heavy the dashboard's pages are, and how long they take in a real browser: each one opened anew, without and with what a
// browser keeps.

import { allPages } from "./pages.mjs";
import { openPage, settled, startStage } from "./stage.mjs";

const ROUNDS = 5;
/** So many bots has the account whose list is measured. */
const MANY = 1000;
const stage = await startStage();
const errors = [];

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const shown = (ms) => `${ms.toFixed(0)} ms`.padStart(9);

/** One visit: the bytes that came, the time to the first of them, and the time until the page was there and could be used. */
async function visit(context, path) {
  const page = await openPage(context, errors);
  await page.goto(stage.base + path, { waitUntil: "commit" });
  await settled(page);
  const figures = await page.evaluate(() => {
    const [first] = performance.getEntriesByType("navigation");
    const all = [first, ...performance.getEntriesByType("resource")];
    return { bytes: all.reduce((sum, one) => sum + one.transferSize, 0), requests: all.length, first: first.responseStart, usable: performance.now() };
  });
  await page.close();
  return figures;
}

/** Has the bot that is there from the beginning say something, so that its pages have something to show. */
async function converse(page) {
  await page.goto(`${stage.base}/bots/tidy`);
  await page.getByRole("textbox", { name: /^Message / }).fill("What time is it?");
  await page.keyboard.press("Enter");
  await page.locator(".message.theirs:not(.writing)").filter({ hasText: "current_time" }).last().waitFor();
}

/** An account of many bots: how long a page of their list takes to come, and the dashboard over it. */
async function manyBots(page, storageState) {
  await page.goto(`${stage.base}/`);
  await page.evaluate(async (count) => {
    let next = 0;
    const make = async () => {
      while (next < count) {
        next += 1;
        const response = await fetch("/v1/bots", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: `many ${next}` }) });
        if (!response.ok) throw new Error(await response.text());
      }
    };
    await Promise.all(Array.from({ length: 4 }, make));
  }, MANY - 1);
  const { times, pages, all } = await page.evaluate(async (rounds) => {
    const read = async (query) => (await fetch(`/v1/bots${query}`)).json();
    const taken = [];
    for (let round = 0; round < rounds; round += 1) {
      const began = performance.now();
      await read("");
      taken.push(performance.now() - began);
    }
    const began = performance.now();
    let cursor = "";
    let count = 0;
    do {
      const { next } = await read(`?limit=100${cursor}`);
      count += 1;
      cursor = next && `&cursor=${next}`;
    } while (cursor);
    return { times: taken, pages: count, all: performance.now() - began };
  }, 4 * ROUNDS);
  const context = await stage.browser.newContext({ storageState });
  const { usable } = await visit(context, "/");
  await context.close();
  const first = median(times);
  console.log(`${MANY} bots: the first page of the list (50) takes ${shown(first).trim()}, at most ${shown(Math.max(...times)).trim()}; all of it, in ${pages} pages, ${shown(all).trim()}; the dashboard can be used after ${shown(usable).trim()}`);
  if (first > 200) throw new Error("A page of the list of bots should come within 200 ms.");
}

try {
  const signedIn = await stage.browser.newContext();
  const page = await openPage(signedIn, errors);
  await page.goto(stage.link);
  await page.getByRole("heading", { name: "Bots", exact: true }).waitFor();
  const storageState = await signedIn.storageState();
  // Asking who is there is how the page finds out that nobody is.
  errors.length = 0;
  await converse(page);
  const paths = allPages("tidy").map(([, path]) => [path, storageState]);
  const widest = Math.max(...paths.map(([path]) => path.length));
  console.log(`${"page".padEnd(widest)}    weight   requests  first byte   usable   usable again`);
  for (const [path, who] of [...paths, ["/sign-in", undefined]]) {
    const [cold, warm] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const context = await stage.browser.newContext({ storageState: who });
      cold.push(await visit(context, path));
      warm.push(await visit(context, path));
      await context.close();
    }
    const of = (visits, name) => median(visits.map((one) => one[name]));
    const weight = `${(of(cold, "bytes") / 1024).toFixed(1)} KiB`.padStart(10);
    console.log(`${path.padEnd(widest)}${weight}${String(of(cold, "requests")).padStart(11)}   ${shown(of(cold, "first"))}${shown(of(cold, "usable"))}   ${shown(of(warm, "usable"))}`);
  }
  await manyBots(page, storageState);
  if (errors.length > 0) throw new Error(errors.join("\n"));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await stage.stop();
}
