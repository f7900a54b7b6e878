// A Discord with one server, one channel and one person in it, and an address at which a test plays that person.

import { createServer } from "node:http";

const [module, port] = process.argv.slice(2);
const { DigitalDiscord } = await import(module);

const discord = new DigitalDiscord({ channels: [{ name: "marsh", type: 0 }], users: [{ username: "ada" }] });
await discord.start();
const [channel] = await discord.prisma.channel.findMany();
const ada = await discord.getFirstNonBotUserId();
const marsh = discord.channel(channel.id);

const actions = {
  "/about": () => ({ base: discord.restUrl.replace(/\/api$/, ""), token: discord.botToken, bot: discord.botUserId, channel: channel.id }),
  "/say": async (text) => ({ id: (await marsh.user(ada).sendMessage({ content: text })).id }),
  "/messages": async () => (await marsh.getMessages()).map((it) => ({ id: it.id, author: it.author.id, text: it.content, answers: it.message_reference?.message_id })),
};

createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", async () => {
    const action = actions[request.url];
    response.statusCode = action ? 200 : 404;
    response.end(JSON.stringify(action ? await action(body) : {}));
  });
}).listen(Number(port), "127.0.0.1");
