// What the walk takes place on: `lowtide dev` with a fresh state, a Telegram, an identity provider, and a browser that tells of
// its errors.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIENT, startProvider } from "./openid.mjs";
import { startTelegram } from "./telegram.mjs";

const { LOWTIDE_BIN, LOWTIDE_TOOLS, CHROMIUM } = process.env;
if (!LOWTIDE_BIN || !LOWTIDE_TOOLS || !CHROMIUM) throw new Error("Run `cargo xtask dashboard`: it says where lowtide, the browser and the npm packages are.");
const load = createRequire(join(LOWTIDE_TOOLS, "package.json"));
const { chromium } = load("playwright-core");
export const AXE = load.resolve("axe-core/axe.min.js");

export const TOKEN = "100200:walk";

/** Starts everything; `stop` ends it again. */
export async function startStage() {
  const telegram = await startTelegram(TOKEN, "walk_bot");
  const provider = await startProvider();
  const state = await mkdtemp(join(tmpdir(), "lowtide-dashboard-"));
  const child = spawn(LOWTIDE_BIN, ["dev", "--state-dir", state, "--listen", "127.0.0.1:0"], {
    env: {
      ...process.env, RUST_BACKTRACE: "0", LOWTIDE_TELEGRAM_API_BASE: telegram.url,
      LOWTIDE_OPENID_ISSUER: provider.issuer, LOWTIDE_OPENID_CLIENT_ID: CLIENT, LOWTIDE_OPENID_NAME: "Example", LOWTIDE_SIGN_UP: "open",
    },
  });
  const said = [];
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const link = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      said.push(String(chunk));
      const found = /https?:\/\/\S+\/sign-in#\S+/.exec(said.join(""));
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", reject);
    ended.then(() => reject(new Error(`lowtide dev ended:\n${said.join("")}`)));
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  return {
    telegram,
    provider,
    browser,
    link,
    base: new URL(link).origin,
    log: () => said.join(""),
    async stop() {
      await browser.close();
      child.kill("SIGTERM");
      await ended;
      telegram.stop();
      provider.stop();
      await rm(state, { recursive: true, force: true });
    },
  };
}

/** Waits until a page is there, with all that it loads afterwards. */
export async function settled(page) {
  await page.waitForSelector("main:not([aria-busy]) h1");
  await page.waitForFunction(() => !document.querySelector(".loaded[aria-busy]"));
}

/** A page of a browser; what goes wrong in it is added to `errors`. */
export async function openPage(context, errors) {
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => errors.push(`${page.url()}: ${error.message}`));
  return page;
}
