// A newcomer's walk through the dashboard in a real browser, with pictures of each page at the widths of a phone and a desk.

import assert from "node:assert/strict";
import { PICTURES, look } from "./look.mjs";
import { checkModules } from "./modules.mjs";
import { allPages } from "./pages.mjs";
import { walkAsOthers } from "./people.mjs";
import { TOKEN, openPage, startStage } from "./stage.mjs";

const LONG = 30_000;
/** So long may it take from signing in to a bot's first answer, in ms. */
const FIRST_ANSWER = 120_000;
/** A small picture, as a PNG. */
const PICTURE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAGAAAABACAMAAADS6oI8AAAABlBMVEUMZHjc7/GHU8G3AAAAPUlEQVR42u3VIQ4AAAgDsfH/T2MJGoHoLKIJ5pK1Wru+AwAfAS8BAOJlAIAeAAB6AADoAQCgBwCAHgAAcw2gvwwBkn2tqAAAAABJRU5ErkJggg==", "base64");
const errors = [];
const stage = await startStage();
const { telegram, base } = stage;

async function step(name, work) {
  const began = performance.now();
  await work();
  console.log(`ok  ${name} (${Math.round(performance.now() - began)} ms)`);
}

/** Forgets what the browser wrote down of refusals that a step is about; nothing else may have been written down. */
function forgive(...statuses) {
  const others = errors.splice(0).filter((error) => !statuses.some((status) => error.includes(`status of ${status}`)));
  assert.deepEqual(others, []);
}

async function walk() {
  const context = await stage.browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await openPage(context, errors);
  page.setDefaultTimeout(LONG);
  const click = (name, scope = page) => scope.getByRole("button", { name, exact: true }).click();
  const said = (text) => page.locator("#notes").getByText(text).waitFor();
  const saved = (card) => Promise.all([page.waitForResponse((response) => response.request().method() === "PATCH" && response.ok()), click("Save", card)]);
  // Turns trust for two seconds what they know of a bot, its budget included.
  const inEffect = () => page.waitForTimeout(2_100);
  const answered = (text) => page.locator(".message.theirs:not(.writing)").filter({ hasText: text }).last().waitFor();
  const say = async (text) => {
    await page.getByRole("textbox", { name: /^Message / }).fill(text);
    await page.keyboard.press("Enter");
  };
  const tab = async (name) => {
    await page.getByRole("navigation", { name: /^Pages of/ }).getByRole("link", { name }).click();
    await page.getByRole("heading", { level: 1, name: new RegExp(`: ${name}$`) }).waitFor();
  };

  const began = performance.now();
  await step("a one-time link signs in, and stays in no history", async () => {
    await page.goto(stage.link);
    await page.getByRole("heading", { name: "Bots", exact: true }).waitFor();
    assert.ok(!page.url().includes("#"));
    // Asking who is there is how the page finds out that nobody is.
    forgive(401);
  });
  await step("a bot is made", async () => {
    await page.getByRole("link", { name: "New bot" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("bad/name");
    await click("Make it and talk");
    await page.locator(".field [role=alert]").waitFor();
    await page.getByRole("textbox", { name: "Name" }).fill("heron");
    await click("Make it and talk");
    await page.getByRole("heading", { name: /^heron ?: Chat/ }).waitFor();
  });
  forgive(400);
  await step("it answers, and shows the tool that it used", async () => {
    await say("Hello, **heron**");
    await answered("heron");
    const took = performance.now() - began;
    assert.ok(took < FIRST_ANSWER, `${took} ms`);
    console.log(`    ${(took / 1000).toFixed(1)} s from following the link to the first answer`);
    await say("What time is it?");
    await page.locator(".tool", { hasText: "current_time" }).waitFor();
    await answered("current_time");
  });
  await step("files are attached by the keyboard, and shown in the conversation without running", async () => {
    const attach = page.getByRole("button", { name: "Attach files. Up to 10 files, 3.5 MB together." });
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), attach.press("Enter")]);
    const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });
    await chooser.setFiles([file("tide.png", "image/png", PICTURE), file("page.html", "text/html", Buffer.from("<script>throw 1</script>")), file("much.bin", "application/octet-stream", Buffer.alloc(3_600_000)), file("spare.txt", "text/plain", Buffer.from("x"))]);
    const told = (hasText) => page.locator(".attach-said", { hasText }).waitFor();
    await told("much.bin is too large");
    await click("Leave spare.txt out");
    await told(/^2 files, .* Up to 10 files, 3.5 MB together\.$/);
    await say("Look at **these**");
    const picture = page.getByRole("img", { name: "tide.png, sent by you" });
    await picture.waitFor();
    assert.equal(await picture.evaluate((one) => one.decode().then(() => one.naturalWidth)), 96);
    assert.equal(await page.locator(".attached").isVisible(), false);
    const href = await page.getByRole("log").getByRole("link", { name: /page\.html/ }).getAttribute("href");
    const headers = await page.evaluate(async (path) => {
      const answer = await fetch(path);
      return ["content-type", "content-disposition", "x-content-type-options"].map((name) => answer.headers.get(name));
    }, href);
    assert.deepEqual(headers, ["application/octet-stream", "attachment", "nosniff"]);
    await answered("these");
  });
  await step("a chat that nobody sees asks for nothing, and catches up when it is seen", async () => {
    const turn = (hidden) => page.evaluate((is) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await turn(true);
    const asked = [];
    const note = (request) => request.method() === "GET" && request.url().includes("/chat") && asked.push(request.url());
    page.on("request", note);
    await page.evaluate(async () => {
      const [bot] = (await (await fetch("/v1/bots?name=heron")).json()).items;
      await fetch(`/v1/bots/${bot.id}/chat`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ text: "said in the dark" }) });
    });
    await page.waitForTimeout(3_000);
    page.off("request", note);
    assert.deepEqual(asked, []);
    await turn(false);
    await answered("said in the dark");
  });
  await step("it is linked to Telegram, and a person is let in", async () => {
    await tab("Channels");
    await page.getByRole("link", { name: /Telegram/ }).click();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByLabel("How messages come in").selectOption("yes");
    await click("Check and link");
    await page.getByRole("heading", { name: /heron is on Telegram as @walk_bot/ }).waitFor();
    telegram.say(555, "Ada", "hello");
    await until(() => telegram.sent.length > 0, "a stranger gets a code");
    await page.getByRole("link", { name: "See its channels" }).click();
    await click("Let in");
    await said("Ada is in, and owns the bot there.");
    telegram.say(555, "Ada", "are you there?");
    await until(() => telegram.sent.some(({ text }) => text.includes("are you there?")), "an answer on Telegram");
    await click("Check");
    const found = page.locator(".findings");
    await found.getByText("Nothing is amiss.").waitFor();
    assert.match(await found.innerText(), /long poll/);
  });
  await step("a schedule is added and run", async () => {
    await tab("Schedules");
    await page.getByLabel("Name").fill("Morning brief");
    await page.getByLabel("What is it to do?").fill("What time is it?");
    await click("Add it");
    await page.getByRole("heading", { name: "Morning brief" }).waitFor();
    const coming = page.locator(".coming", { has: page.getByRole("heading", { name: /^Next runs, by the clock of / }) });
    assert.equal(await coming.getByRole("listitem").count(), 5);
    await click("Run now");
    await said("It is on its way.");
  });
  await step("SOUL.md is edited", async () => {
    await tab("Files");
    await page.getByRole("link", { name: /^SOUL.md/ }).click();
    const editor = page.getByRole("textbox", { name: "SOUL.md" });
    await editor.fill("# Who you are\n\nA heron that is fond of tides.\n");
    await click("Save");
    await page.getByText("Saved. It counts").waitFor();
    await page.reload();
    assert.match(await editor.inputValue(), /fond of tides/);
  });
  await step("what is not saved is not lost by going back", async () => {
    const editor = page.getByRole("textbox", { name: "SOUL.md" });
    await tab("Channels");
    await tab("Files");
    await page.getByRole("link", { name: /^SOUL.md/ }).click();
    await editor.fill("half a thought");
    const asked = [];
    page.once("dialog", (dialog) => {
      asked.push(dialog.message());
      return dialog.dismiss();
    });
    await page.evaluate(() => history.back());
    await until(() => asked.length > 0, "the question");
    await page.waitForTimeout(300);
    assert.match(page.url(), /files\/SOUL\.md$/);
    assert.equal(await editor.inputValue(), "half a thought");
    page.once("dialog", (dialog) => dialog.accept());
    await page.evaluate(() => history.back());
    await page.getByRole("heading", { name: "Choose a file" }).waitFor();
  });
  await step("a file that is no text is not opened as one", async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x41]);
    await page.route("**/v1/bots/*/files/photo.bin", (route) => route.fulfill({ contentType: "application/octet-stream", body: bytes }));
    await page.route("**/v1/bots/*/files", async (route) => {
      const response = await route.fetch();
      const list = await response.json();
      list.items.push({ name: "photo.bin", tag: "0", size: bytes.length });
      await route.fulfill({ response, json: list });
    });
    await page.goto(`${base}/bots/heron/files/photo.bin`);
    await page.getByRole("link", { name: "Download it" }).waitFor();
    assert.equal(await page.getByRole("textbox", { name: "photo.bin" }).count(), 0);
    await page.unrouteAll();
  });
  await step("an address that is no address is told so", async () => {
    for (const path of ["/bots/%E0%A4%A", "/bots/heron/nothing", "/nothing"]) {
      await page.goto(base + path);
      await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    }
  });
  await step("memory and skills are written", async () => {
    await page.goto(`${base}/bots/heron/files`);
    await page.getByRole("link", { name: "MEMORY.md" }).click();
    await page.getByRole("textbox", { name: "MEMORY.md" }).fill("Ada likes herons.\n");
    await click("Save");
    await page.getByRole("link", { name: /^MEMORY.md What it has learnt/ }).waitFor();
    await tab("Skills");
    const card = page.locator(".card", { has: page.getByRole("heading", { name: "New skill" }) });
    await card.getByLabel("Name").fill("tide-table");
    await card.getByLabel("When is it used?").fill("When somebody asks for the tide.");
    await click("Write it", card);
    await page.getByRole("textbox", { name: "skills/tide-table/SKILL.md" }).waitFor();
    await tab("Skills");
    await page.getByRole("checkbox", { name: "tide-table" }).uncheck();
    await saved(page.locator(".card", { has: page.getByRole("heading", { name: "Skills", exact: true }) }));
    await page.locator("main:not([aria-busy])").waitFor();
    assert.ok(!(await page.getByRole("checkbox", { name: "tide-table" }).isChecked()));
  });
  await step("a model, its fallback and their keys are set, and refused beside their fields", async () => {
    await tab("Settings");
    const card = (name) => page.locator(".card", { has: page.getByRole("heading", { name, exact: true }) });
    await card("Model").getByLabel("Model", { exact: true }).fill("not a model");
    await click("Save", card("Model"));
    await card("Model").locator(".field [role=alert]", { hasText: "provider/model" }).waitFor();
    await card("Model").getByLabel("Model", { exact: true }).fill("openai/gpt-5.1");
    await card("Model").getByLabel("API key").fill("sk-walk");
    await saved(card("Model"));
    await click("Add a model", card("Fallbacks"));
    await card("Fallbacks").getByLabel("Model").fill("anthropic/claude-sonnet-4-5");
    await card("Fallbacks").getByLabel("API key of its provider").fill("sk-other");
    await saved(card("Fallbacks"));
    await card("Fallbacks").getByPlaceholder("One is stored").waitFor();
    await click("Add a model", card("Pictures"));
    await card("Pictures").getByLabel("Model").fill("demo");
    await click("Save", card("Pictures"));
    await card("Pictures").locator(".field [role=alert]").waitFor();
    await card("Pictures").getByLabel("Model").fill("google/gemini-2.5-flash");
    await card("Pictures").getByLabel("API key of its provider").fill("sk-eye");
    await saved(card("Pictures"));
    await card("Pictures").getByPlaceholder("One is stored").waitFor();
    await card("Web search").getByLabel("It searches with").selectOption("searxng");
    await click("Save", card("Web search"));
    await card("Web search").locator(".field [role=alert]").waitFor();
    await card("Tool servers").getByText("Add a server").click();
    await card("Tool servers").getByLabel("Name").fill("tickets");
    await card("Tool servers").getByLabel("Address").fill("https://mcp.example.org/mcp");
    await Promise.all([page.waitForResponse((response) => response.request().method() === "PATCH" && response.ok()), click("Add it", card("Tool servers"))]);
    await card("Tool servers").getByText("tickets", { exact: true }).waitFor();
    await card("Model").getByLabel("Model", { exact: true }).fill("");
    await saved(card("Model"));
    await page.getByText("demo model").waitFor();
    forgive(400, 422);
    await inEffect();
  });
  await step("another token takes the place of a link's, and a group may be listed", async () => {
    await tab("Channels");
    await page.getByText("Give it another login").click();
    await page.getByLabel("Token").fill("100200:wrong");
    await click("Check and replace");
    await page.locator(".field [role=alert], .problem").first().waitFor();
    forgive(422);
    await page.getByLabel("Token").fill(TOKEN);
    await click("Check and replace");
    await said("Replaced, and checked.");
    await page.getByText("Who may write", { exact: true }).click();
    await page.getByLabel("Groups", { exact: true }).fill("-100777");
    await saved(page.locator("details", { hasText: "Who may write" }));
    // The card is shown anew, and closed.
    await page.getByLabel("Groups", { exact: true }).waitFor({ state: "hidden" });
    await page.getByText("Who may write", { exact: true }).click();
    assert.equal(await page.getByLabel("Groups", { exact: true }).inputValue(), "-100777");
  });
  await step("the modules do as they say, and in linear time", () => checkModules(page));
  await step("a budget is set, usage moves, and the budget is hit", async () => {
    await tab("Settings");
    const card = page.locator(".card", { has: page.getByRole("heading", { name: "Budget" }) });
    await card.getByLabel("Turns").fill("2");
    await saved(card);
    await inEffect();
    await tab("Chat");
    await say("one of two");
    await answered("one of two");
    await page.goto(`${base}/`);
    await page.getByText("1 of 2 turns this month").waitFor();
    await page.goto(`${base}/bots/heron`);
    await say("two of two");
    await answered("two of two");
    await say("one too many");
    await page.locator(".message.notice", { hasText: /budget/i }).waitFor();
    await tab("Usage");
    await page.getByText("2 of 2 turns").waitFor();
    const parts = page.getByRole("list", { name: /^Parts of .* by day/ });
    await page.getByRole("img", { name: /by day \(UTC\) and model/ }).waitFor();
    await parts.getByRole("listitem").first().waitFor();
    await page.getByRole("group", { name: "Days in parts by" }).getByRole("radio", { name: "channel" }).check();
    await page.getByRole("img", { name: /by day \(UTC\) and channel/ }).waitFor();
    await parts.getByText("Web chat").waitFor();
    await page.getByRole("group", { name: "By", exact: true }).getByRole("radio", { name: "model" }).check();
    await page.getByRole("img", { name: /by model/ }).waitFor();
    await tab("Settings");
    await card.getByLabel("Turns").fill("");
    await saved(card);
    await inEffect();
  });
  await step("a reply that Telegram refuses becomes a dead letter, and is replayed", async () => {
    telegram.refuse(true);
    telegram.say(555, "Ada", "this one comes late");
    await until(async () => {
      await page.goto(`${base}/dead-letters`);
      await page.waitForSelector("main:not([aria-busy]) h1");
      return (await page.getByRole("button", { name: "Replay" }).count()) > 0;
    }, "a dead letter");
    await look(stage, errors, await context.storageState(), [["dead-letters-open", "/dead-letters"], ["notices-open", "/notices"], ["bots-in-trouble", "/"]]);
    telegram.refuse(false);
    await page.goto(`${base}/bots/heron/channels`);
    await click("Resume");
    await said("It listens again.");
    const before = telegram.sent.length;
    await page.goto(`${base}/dead-letters`);
    await click("Replay");
    await page.locator(".badge", { hasText: "Replayed" }).waitFor();
    await until(() => telegram.sent.length > before, "the late reply");
  });
  await step("every page and dialog looks right, at both widths and in both themes", async () => look(stage, errors, await context.storageState(), [...allPages("heron"), ...DIALOGS]));
  forgive(400);
  await walkAsOthers({ stage, errors, step, forgive, owner: page });
  await step("the keyboard alone reaches the content and the menu", async () => {
    await page.goto(`${base}/`);
    await page.waitForSelector("main:not([aria-busy]) h1");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  });
  await step("the bot is cloned, and the clone has its character and answers", async () => {
    await page.goto(`${base}/bots/heron/settings`);
    const card = page.locator(".card", { has: page.getByRole("heading", { name: "Clone" }) });
    await card.getByLabel("The new bot's name").fill("gull");
    await click("Clone it", card);
    await page.getByRole("heading", { name: /^gull ?: Chat/ }).waitFor();
    await say("Hello, gull");
    await answered("gull");
    await page.goto(`${base}/bots/gull/files/SOUL.md`);
    await page.getByRole("textbox", { name: "SOUL.md" }).waitFor();
    assert.match(await page.getByRole("textbox", { name: "SOUL.md" }).inputValue(), /fond of tides/);
  });
  await step("the bot is deleted, once its name is written", async () => {
    await page.goto(`${base}/bots/heron/settings`);
    await click("Delete it");
    const dialog = page.getByRole("dialog");
    assert.ok(await dialog.getByRole("button", { name: "Delete it" }).isDisabled());
    await dialog.getByRole("textbox").fill("heron");
    await click("Delete it", dialog);
    await page.locator(".bot", { has: page.getByRole("link", { name: "heron" }) }).getByText("Deleted").waitFor();
  });
  await step("a deleted bot is restored, archived, and in the end removed for good", async () => {
    const settings = async () => {
      await page.goto(`${base}/bots/heron/settings`);
      await page.getByRole("heading", { name: "State" }).waitFor();
    };
    await settings();
    await click("Restore it");
    await said("It is back.");
    await click("Archive it");
    await said("It is archived.");
    await page.getByRole("button", { name: "Restore it" }).waitFor();
    for (const name of ["Delete it", "Remove it now"]) {
      await settings();
      await click(name);
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("textbox").fill("heron");
      await click(name, dialog);
      await page.getByRole("heading", { name: "Bots", exact: true }).waitFor();
    }
    await page.getByRole("link", { name: "gull" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "heron" }).count(), 0);
  });
  await step("signing out ends it", async () => {
    await click("Sign out");
    await page.getByRole("heading", { name: "Sign in to Lowtide" }).waitFor();
    forgive(401);
  });
}

/** A conversation with an entry of every kind, one of which is stranger than any API would write it. */
const ENTRIES = [
  { kind: "user", channel: "webchat", sender: { id: "owner" }, text: "What is on today?" },
  { kind: "assistant", text: "Let me look. **One moment.**", model: "demo", usage: { input: 900, output: 40 }, cost: 1200, tool_calls: [{ name: "read", arguments: '{"path":"today.md"}' }] },
  { kind: "tool_result", tool: "read", outcome: "ok", text: "# Today" },
  { kind: "user", channel: "telegram", sender: { id: "555", name: "Ada" }, text: "And tomorrow?" },
  { kind: "user", channel: "webchat", author: "job", sender: { id: "cron:job_1", name: "Morning brief" }, text: "Say what is on today." },
  { kind: "assistant", text: "NO_REPLY", silent: true },
  { kind: "user", channel: "webchat", author: "session", sender: { id: "session:agent:main:telegram:direct:555", name: "Ada" }, text: "A word from elsewhere." },
  { kind: "asked", text: "May I **write** today.md?", code: "abc" },
  { kind: "notice", text: "My budget for this month is used up." },
  { kind: "failed", text: "I could not answer.", detail: "The model refused the key." },
  { kind: "stopped", text: "", stopped_by: "person" },
  { kind: "compaction", text: "They spoke of today." },
  { kind: "dropped", text: "" },
  { kind: "reset", text: "" },
  { kind: "user", channel: "webchat", text: "What is this?", files: [{ id: "a".repeat(64), mime: "image/png", size: PICTURE.length, name: "tide.png" }, { id: "b".repeat(64), mime: "text/html", size: 2048, name: "page.html" }] },
  { kind: "assistant", text: "", tool_calls: [{ name: "image", arguments: "{}" }] },
  { kind: "tool_result", tool: "image", outcome: "ok", text: "A picture.", files: [{ id: "c".repeat(64), mime: "image/png", size: PICTURE.length }] },
  { kind: "user", channel: "webchat", text: "Kept all the same.", at: "never" },
].map((entry, seq) => ({ seq: seq + 7, at: 1_795_900_000_000 + seq * 60_000, turn: "turn_1", final: false, ...entry }));

/** What comes up on pages, by what brings it up. */
const DIALOGS = [
  ["bot-chat-kinds", "/bots/heron", async (page) => {
    await page.route(/\/v1\/bots\/[^/]+\/chat$/, (route) => route.fulfill({ json: { session: "agent:main:main", items: ENTRIES, next: 10_000, busy: false } }));
    await page.route("**/v1/bots/*/media/*", (route) => route.fulfill({ contentType: "image/png", body: PICTURE }));
    await page.reload();
    const log = page.getByRole("log");
    for (const name of ["tide.png, sent by you", "A picture, from the tool image"]) await log.getByRole("img", { name }).evaluate((one) => one.decode());
    await log.getByRole("link", { name: /page\.html/ }).waitFor();
    await log.getByText("Kept all the same.").waitFor();
    await log.getByText("Schedule · Morning brief").click();
    assert.equal(await log.getByText("NO_REPLY").count(), 0);
    assert.ok(await log.getByText("Say what is on today.").isVisible());
    await page.unrouteAll();
  }],
  ["bot-chat-attached", "/bots/heron", async (page) => {
    await page.locator("input[type=file]").setInputFiles([{ name: "tide.png", mimeType: "image/png", buffer: PICTURE }, { name: "a-name-that-is-rather-long-for-a-file-on-a-phone.txt", mimeType: "text/plain", buffer: Buffer.from("x") }]);
    await page.getByText(/^2 files/).waitFor();
  }],
  ["dialog-delete", "/bots/heron/settings", async (page) => {
    await page.getByRole("button", { name: "Delete it" }).click();
    await page.getByRole("dialog").waitFor();
  }],
  ["dialog-discard", "/keys", async (page) => {
    await page.getByRole("button", { name: /^Delete / }).first().click();
    await page.getByRole("dialog").waitFor();
  }],
  ["menu", "/", async (page) => {
    const menu = page.getByRole("button", { name: "Menu" });
    if (await menu.isVisible()) await menu.click();
  }],
  ["refused", "/new", async (page) => {
    await page.getByRole("textbox", { name: "Name" }).fill("bad/name");
    await page.getByRole("button", { name: "Make it and talk" }).click();
    await page.locator(".field [role=alert]").waitFor();
  }],
  ["bot-usage-by-model", "/bots/heron/usage", (page) => page.getByRole("group", { name: "By", exact: true }).getByRole("radio", { name: "model" }).check()],
  ["bot-usage-by-channel-and-day", "/bots/heron/usage", async (page) => {
    await page.getByRole("group", { name: "Days in parts by" }).getByRole("radio", { name: "channel" }).check();
    await page.getByText("The same as a table").click();
  }],
  ["bot-usage-many-parts", "/bots/heron/usage", async (page) => {
    const line = (name, cost) => ({ name, turns: 3, calls: 4, usage: { input: 900, output: 40, cached: 0 }, cost });
    const models = ["openai/gpt-5.1", "anthropic/claude-sonnet-4-5", "google/gemini-3-pro", "groq/llama-4", "xai/grok-4", "mistral/large-3", "deepseek/v3", "ollama/qwen3"];
    await page.route(/usage\/report\?by=day&split=model/, async (route) => {
      const response = await route.fetch();
      const report = await response.json();
      report.items = report.items.map((day, at) => ({ ...day, ...line(day.name, 36_000 + at * 900), parts: models.map((model, index) => line(model, (8 - index) * (1_000 + at * 25))) }));
      report.total = line("total", 590_000);
      await route.fulfill({ response, json: report });
    });
    await page.reload();
    await page.getByRole("list", { name: /^Parts of/ }).getByText("3 others").waitFor();
    await page.unrouteAll();
  }],
  ["nothing", "/nothing"],
];

/** Waits for what the world outside shows. */
async function until(holds, what) {
  const end = Date.now() + LONG;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

try {
  await walk();
  assert.deepEqual(errors, [], "the browser's console");
  console.log(`The walk is over; its pictures are in ${PICTURES}.`);
} catch (error) {
  console.error(error);
  console.error("The browser's console:", errors);
  console.error(stage.log().split("\n").slice(-15).join("\n"));
  process.exitCode = 1;
} finally {
  await stage.stop();
}
