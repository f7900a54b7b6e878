// Looks at pages as people with other eyes, screens and hands do: pictures at the widths of a phone and a desk in each theme, no
// sideways scrolling, nothing that axe-core calls serious.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AXE, openPage, settled } from "./stage.mjs";

export const PICTURES = process.env.LOWTIDE_PICTURES ?? "target/dashboard";
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 860 };
const VIEWS = [[PHONE, "light"], [PHONE, "dark"], [DESK, "light"], [DESK, "dark"]];

/**
 * Looks at pages in all four views. Each is `[name, path, prepare]`: `prepare` does with the page what brings up what is to be
 * looked at, such as a dialog. `storage`: who is signed in.
 */
export async function look(stage, errors, storage, pages) {
  await mkdir(PICTURES, { recursive: true });
  await Promise.all(VIEWS.map(async ([viewport, colorScheme]) => {
    // The page's policy lets nobody put a script in, and so not axe-core either.
    const context = await stage.browser.newContext({ viewport, colorScheme, storageState: storage, reducedMotion: "reduce", bypassCSP: true });
    const page = await openPage(context, errors);
    for (const [name, path, prepare] of pages) {
      await page.goto(stage.base + path);
      await settled(page);
      await prepare?.(page);
      const view = `${viewport.width}-${colorScheme}`;
      await page.screenshot({ path: join(PICTURES, `${name}-${view}.png`) });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${viewport.width} px`);
      assert.deepEqual(await seriousProblems(page), [], `${name}, ${view}`);
    }
    await context.close();
  }));
}

async function seriousProblems(page) {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`);
}
