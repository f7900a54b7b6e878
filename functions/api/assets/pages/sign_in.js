// Signing in: by a one-time link, an API key, or an identity provider.

import { Problem, get, post } from "../api.js";
import { h, replace } from "../dom.js";
import { field, form } from "../forms.js";
import { button, problemBox } from "../ui.js";

/** Why the identity provider's answer let nobody in, by the code in the address. */
const PROBLEMS = {
  refused: "Your identity provider did not let you in.",
  not_invited: "No account here has invited you.",
  other_browser: "The sign-in was begun in another browser.",
  too_late: "The sign-in took too long.",
  too_many: "There were too many attempts.",
  provider: "The identity provider cannot be used at the moment.",
};
/** What an address says is shown as it is, but for its length: anybody can write one. */
const MOST_LETTERS = 300;

const page = (...content) => h("main", { id: "content", class: "sign-in", tabindex: "-1" }, h("span", { class: "mark large", "aria-hidden": "true" }), content);

/** `problem`: why it is not known who is there, if not for want of a sign-in. */
export async function signInPage(problem) {
  const isHere = location.pathname === "/sign-in";
  const code = isHere ? location.hash.slice(1) : "";
  const told = isHere ? new URLSearchParams(location.search) : new URLSearchParams();
  let failed = problem ?? null;
  // A code works once, and a problem is told once: neither is to stay in the history.
  if (code || told.has("problem")) history.replaceState(null, "", "/sign-in");
  if (told.has("problem")) failed = new Problem(0, PROBLEMS[told.get("problem")] ?? "Nobody was signed in.", (told.get("detail") || "Try it once more, from here.").slice(0, MOST_LETTERS));
  if (code) {
    // Another's link could put this browser into another's account, where what is written is theirs to read.
    const me = await get("/v1/me", { asks: true }).catch(() => null);
    if (me) return goOver(me, code);
    try {
      await follow(code);
      return page(h("h1", { tabindex: "-1" }, "Signing in…"));
    } catch (error) {
      failed = error;
    }
  }
  return ways(failed);
}

async function follow(code) {
  await post("/v1/sign-in/link", { code });
  location.replace("/");
}

/** Asks whether a browser that is signed in is to go over to the account of a link. */
function goOver(me, code) {
  const here = me.account?.name ?? me.name;
  return page(h("h1", { tabindex: "-1" }, "Go over to another account?"),
    h("p", {}, "You are signed in to ", h("strong", {}, here), me.role && ` as ${me.role}`, ". This link signs the browser in to the account of whoever made it, in place of this one."),
    h("p", {}, "Follow it only if you asked for it: what you write there, they can read."),
    h("p", { class: "actions" },
      h("a", { class: "button primary", href: "/" }, `Stay in ${here}`),
      button("Follow the link", () => follow(code))));
}

async function ways(failed) {
  const place = h("div", { class: "stack" });
  const openid = await get("/v1/sign-in").then((known) => known.openid, () => null);
  const key = field({ label: "API key", path: "key", type: "password", placeholder: "lt_…", autocomplete: "current-password" });
  replace(place, failed && problemBox(failed),
    openid && [h("p", {}, h("a", { class: "button primary wide", href: openid.url }, `Go on with ${openid.name}`)), h("p", { class: "or" }, "or")],
    form({ fields: [key], action: "Sign in with a key", needs: null, send: async () => {
      await post("/v1/sign-in/key", { key: key.value });
      location.assign("/");
    } }),
    h("p", { class: "hint" }, "On your own machine ", h("code", {}, "lowtide dev"), " prints a link that signs you in without a key. ", h("code", {}, "lowtide dashboard"), " prints another."));
  return page(h("h1", { tabindex: "-1" }, "Sign in to Lowtide"), place);
}
