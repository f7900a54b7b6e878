// A Telegram server on loopback, as far as one bot needs it: it takes messages, hands out updates, and can refuse the token.

import { createServer } from "node:http";

export async function startTelegram(token, username) {
  const me = { id: Number(token.split(":")[0]), is_bot: true, first_name: username, username };
  const state = { refuses: false, sent: [], updates: [], waiting: null, next: 1 };
  const methods = {
    getMe: () => me,
    getWebhookInfo: () => ({ url: "", has_custom_certificate: false, pending_update_count: 0 }),
    sendMessage: (body) => {
      const message = { message_id: state.next++, date: Math.floor(Date.now() / 1000), chat: { id: Number(body.chat_id), type: "private" }, from: me, text: body.text };
      state.sent.push({ chat: String(body.chat_id), text: body.text });
      return message;
    },
    getUpdates: async (body) => {
      const offset = Number(body.offset ?? 0);
      state.updates = state.updates.filter((update) => update.update_id >= offset);
      if (state.updates.length > 0) return state.updates;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, Math.min(Number(body.timeout ?? 0), 5) * 1000);
        state.waiting = () => { clearTimeout(timer); resolve(); };
      });
      return state.updates.filter((update) => update.update_id >= offset);
    },
  };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url, "http://telegram");
    const [, bot, method] = url.pathname.split("/");
    const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const refused = bot !== `bot${token}` || (state.refuses && method !== "getUpdates");
    if (refused) return answer(401, { ok: false, error_code: 401, description: "Unauthorized" });
    let body = Object.fromEntries(url.searchParams);
    try {
      if (text) body = { ...body, ...JSON.parse(text) };
    } catch {
      // A form: none of the methods here reads one.
    }
    const result = methods[method] ? await methods[method](body) : true;
    return answer(200, { ok: true, result });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    sent: state.sent,
    refuse: (is) => (state.refuses = is),
    /** A person writes to the bot. */
    say(id, name, text) {
      const from = { id, is_bot: false, first_name: name };
      const update_id = state.next++;
      state.updates.push({ update_id, message: { message_id: update_id, date: Math.floor(Date.now() / 1000), chat: { id, type: "private", first_name: name }, from, text } });
      state.waiting?.();
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
