// The dashboard as others than its first owner see it: who looks on, who runs the bots, who comes from an identity provider and
// belongs to two accounts, and who is not signed in.

import assert from "node:assert/strict";
import { look } from "./look.mjs";
import { BOT_PAGES } from "./pages.mjs";
import { openPage, settled } from "./stage.mjs";

const ADA = { name: "Ada", email: "ada@example.org" };

/** `owner`: a page of the account's owner, whose bot is `heron`. */
export async function walkAsOthers({ stage, errors, step, forgive, owner }) {
  const { base, browser, provider } = stage;
  const open = async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    const page = await openPage(context, errors);
    page.setDefaultTimeout(30_000);
    return page;
  };
  /** A one-time link that the owner makes. */
  const offered = async (role) => {
    await owner.goto(`${base}/browsers`);
    await owner.getByLabel("Role").selectOption(role);
    await owner.getByRole("button", { name: "Make a link" }).click();
    return owner.locator(".copyable code").innerText();
  };
  const signedIn = async (role) => {
    const page = await open();
    await page.goto(await offered(role));
    await page.getByRole("heading", { name: "Bots", exact: true }).waitFor();
    forgive(401);
    return page;
  };

  await step("a viewer sees every page of a bot but its chat, and can change nothing", async () => {
    const page = await signedIn("viewer");
    await page.getByRole("link", { name: "heron" }).click();
    await page.getByRole("heading", { level: 1, name: /: Sessions$/ }).waitFor();
    const tabs = page.getByRole("navigation", { name: /^Pages of/ }).getByRole("link");
    assert.ok(!(await tabs.allInnerTexts()).includes("Chat"));
    for (const tab of await tabs.all()) {
      await tab.click();
      await settled(page);
      assert.equal(await page.locator("main .problem").count(), 0, page.url());
      const buttons = await page.locator("main button:visible").allInnerTexts();
      assert.deepEqual(buttons.filter((name) => name !== "Look again"), [], page.url());
    }
    await page.goto(`${base}/keys`);
    await page.getByRole("heading", { name: "Not for your role" }).waitFor();
    const pages = BOT_PAGES.filter((path) => !path.includes("add")).map((path) => [`viewer-${path.replace(/\W+/g, "-") || "bot"}`, `/bots/heron/${path}`.replace(/\/$/, "")]);
    await look(stage, errors, await page.context().storageState(), [["viewer-bots", "/"], ...pages, ["viewer-keys", "/keys"]]);
    await page.context().close();
  });
  await step("an operator talks to bots and changes them, and gives out no keys", async () => {
    const page = await signedIn("operator");
    const places = await page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts();
    assert.ok(places.includes("Approvals") && !places.includes("API keys") && !places.includes("Members"), places.join());
    await page.getByRole("link", { name: "heron" }).click();
    await page.getByRole("textbox", { name: /^Message / }).fill("An operator speaks");
    await page.keyboard.press("Enter");
    await page.locator(".message.theirs:not(.writing)").filter({ hasText: "An operator speaks" }).last().waitFor();
    await page.goto(`${base}/bots/heron/schedules`);
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByRole("button", { name: "Switch on" }).click();
    await page.getByRole("button", { name: "Switch off" }).waitFor();
    await page.context().close();
  });
  await step("another's link is followed only by who says so", async () => {
    const link = await offered("viewer");
    await owner.goto("about:blank");
    await owner.goto(link);
    await owner.getByRole("heading", { name: "Go over to another account?" }).waitFor();
    await owner.getByRole("link", { name: /^Stay in/ }).click();
    await owner.getByRole("link", { name: "API keys" }).waitFor();
  });
  await step("a browser is signed out from afar", async () => {
    const page = await signedIn("viewer");
    await owner.goto(`${base}/browsers`);
    await owner.getByRole("button", { name: /^Sign out: With a one-time link, as viewer/ }).first().click();
    await owner.getByRole("button", { name: "Sign it out" }).click();
    await owner.locator("#notes").getByText("Signed out.").waitFor();
    await page.goto(`${base}/usage`);
    await page.getByRole("heading", { name: "Sign in to Lowtide" }).waitFor();
    forgive(401);
    await page.context().close();
  });
  await step("who is invited joins, and goes over from one account to another", async () => {
    await owner.goto(`${base}/members`);
    await owner.getByLabel("E-mail address").fill(ADA.email);
    await owner.getByRole("button", { name: "Invite", exact: true }).click();
    await owner.locator("#notes").getByText("Invited.").waitFor();
    const page = await open();
    provider.is(ADA);
    await page.goto(base);
    await page.getByRole("link", { name: "Go on with Example" }).click();
    await page.getByRole("heading", { name: /^You are invited to/ }).waitFor();
    forgive(401);
    await look(stage, errors, await page.context().storageState(), [["invited", "/"]]);
    await page.getByRole("button", { name: /^Join / }).click();
    await page.getByRole("link", { name: "heron" }).waitFor();
    await page.locator(".accounts summary").click();
    await look(stage, errors, await page.context().storageState(), [["accounts", "/", async (other) => {
      const menu = other.getByRole("button", { name: "Menu" });
      if (await menu.isVisible()) await menu.click();
      await other.locator(".accounts summary").click();
    }]]);
    await page.locator(".accounts").getByRole("button", { name: /^Ada/ }).click();
    await page.getByRole("heading", { name: "No bots yet" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "heron" }).count(), 0);
    await page.context().close();
  });
  await step("who is not signed in is told how, and why not", async () => {
    provider.is(null);
    const page = await open();
    await page.goto(base);
    await page.getByRole("link", { name: "Go on with Example" }).click();
    await page.locator(".problem", { hasText: "you cancelled" }).waitFor();
    await page.getByLabel("API key").fill("lt_wrong");
    await page.getByRole("button", { name: "Sign in with a key" }).click();
    await page.locator(".error, .problem").filter({ hasText: "This key is not known" }).waitFor();
    await page.context().close();
    // Nobody can be without an account here, where everybody may sign up.
    const nobody = { account: null, actor: { kind: "user", id: "user_0" }, name: "Ada", role: null, scopes: [], accounts: [], invitations: [{ account: "acct_0", name: "Marsh", role: "operator", invited_at: 0, expires_at: 0 }] };
    await look(stage, errors, undefined, [
      ["sign-in", "/"],
      ["sign-in-problem", "/sign-in?problem=not_invited&detail=You%20are%20signed%20in%20at%20Example%20as%20ada%40example.org."],
    ]);
    await look(stage, errors, undefined, [["without-account", "/", async (other) => {
      await other.route("**/v1/me", (route) => route.fulfill({ json: nobody }));
      await other.reload();
      await other.getByRole("heading", { name: "Welcome, Ada" }).waitFor();
    }]]);
    await look(stage, errors, await owner.context().storageState(), [["go-over", "/sign-in#0123456789abcdef"]]);
    forgive(401);
  });
}
