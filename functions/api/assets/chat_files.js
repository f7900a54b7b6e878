// Files in a conversation: those that go out with a message, and those that came with one or that a tool made.

import { botPath } from "./api.js";
import { h, replace } from "./dom.js";
import { plural, size } from "./format.js";
import { icon } from "./icons.js";
import { may } from "./who.js";

/** What a message may bring, as the API takes it: so many files, of so many bytes together. */
const MOST_FILES = 10;
const MOST_BYTES = 3_500_000;
const LIMIT = `Up to ${MOST_FILES} files, ${MOST_BYTES / 1_000_000} MB together`;

/** What browsers show as pictures, and the API gives out as such. */
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/**
 * The kept files of an entry of `bot`'s log, pictures to be seen and others to be downloaded; nothing where there are none. `about`
 * says of all of them where they are from, `onshown` is told of each picture that has come.
 */
export function keptFiles(bot, files, about, onshown) {
  if (!files?.length) return null;
  const one = (file) => {
    const isPicture = PICTURES.includes(file.mime);
    const name = file.name || (isPicture ? "A picture" : "A file");
    const label = [icon("file"), h("span", {}, name), h("span", { class: "size" }, size(file.size))];
    // Who may chat and no more does not get what others sent.
    if (!may("sessions:read")) return h("li", { class: "kept-file" }, label);
    const href = botPath(bot.id, "media", file.id);
    const download = h("a", { class: "kept-file", href, download: file.name || file.id.slice(0, 12) }, label);
    if (!isPicture) return h("li", {}, download);
    const picture = h("a", { class: "kept-picture", href, target: "_blank", rel: "noopener" },
      h("img", { src: href, alt: `${name}, ${about}`, loading: "lazy", onload: onshown, onerror: () => picture.replaceWith(download) }));
    return h("li", {}, picture);
  };
  return h("ul", { class: "kept", "aria-label": `Files ${about}` }, files.map(one));
}

/** A file as a message brings it. */
function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve({ name: file.name, ...(file.type && { mime: file.type }), data: reader.result.slice(reader.result.indexOf(",") + 1) }));
    reader.addEventListener("error", () => reject(new Error(`${file.name} could not be read. Choose it again.`)));
    reader.readAsDataURL(file);
  });
}

/**
 * The files that go out with the next message: chosen by a button, pasted into `input`, or dropped. `button` and `list` are to be
 * shown, `take` gives the files and forgets them, `tell` says something about them.
 */
export function attachments(input) {
  let chosen = [];
  const said = h("p", { class: "attach-said", role: "status" });
  const names = h("ul", { class: "kept" });
  const list = h("div", { class: "attached", hidden: true }, names, said);
  const picker = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true", onchange: () => {
    add([...picker.files]);
    // The same file can be chosen again.
    picker.value = "";
  } });
  const button = h("button", { class: "button attach", type: "button", "aria-label": `Attach files. ${LIMIT}.`, title: LIMIT, onclick: () => picker.click() }, icon("clip"));
  const bytes = () => chosen.reduce((sum, file) => sum + file.size, 0);
  const show = (text = chosen.length > 0 ? `${plural(chosen.length, "file")}, ${size(bytes())}. ${LIMIT}.` : "") => {
    replace(names, chosen.map((file) => h("li", { class: "kept-file" }, icon("file"), h("span", {}, file.name), h("span", { class: "size" }, size(file.size)),
      h("button", { class: "off", type: "button", "aria-label": `Leave ${file.name} out`, onclick: () => {
        chosen = chosen.filter((other) => other !== file);
        show();
        (names.querySelector("button") ?? button).focus();
      } }, icon("close")))));
    said.textContent = text;
    list.hidden = chosen.length === 0 && text === "";
  };
  /** Takes in what fits, and says why the rest does not. */
  const add = (files) => {
    const refused = [];
    for (const file of files) {
      if (file.size === 0) refused.push(`${file.name} is empty.`);
      else if (chosen.length >= MOST_FILES) refused.push(`${file.name} is one too many.`);
      else if (bytes() + file.size > MOST_BYTES) refused.push(`${file.name} is too large (${size(file.size)}).`);
      else chosen = [...chosen, file];
    }
    if (refused.length > 0) show(`Not attached: ${refused.join(" ")} ${LIMIT}.`);
    else show();
    input.focus();
  };
  input.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    add(files);
  });
  return {
    button: [button, picker],
    list,
    tell: show,
    get any() { return chosen.length > 0; },
    async take() {
      const taken = chosen;
      chosen = [];
      show();
      try {
        return await Promise.all(taken.map(read));
      } catch (error) {
        chosen = [...taken, ...chosen];
        throw error;
      }
    },
    dropOn(place) {
      place.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
      place.addEventListener("drop", (event) => {
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length === 0) return;
        event.preventDefault();
        add(files);
      });
    },
  };
}
