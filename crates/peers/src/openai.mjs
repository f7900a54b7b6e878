// Calls a server with the official client and prints what came of it as JSON:
//   node openai.mjs MODULE BASE_URL KEY CALL REQUEST
const [module, baseURL, apiKey, call, text] = process.argv.slice(2);
const { default: OpenAI } = await import(module);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const request = JSON.parse(text);

const calls = {
  /** The names of the models. */
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return names;
  },
  complete: () => client.chat.completions.create(request),
  respond: () => client.responses.create(request),
  /** The pieces of an answer with the client's own reading of them all. */
  async stream() {
    const stream = client.chat.completions.stream(request);
    const pieces = [];
    let usage = null;
    for await (const chunk of stream) {
      const piece = chunk.choices[0]?.delta?.content;
      if (piece) pieces.push(piece);
      usage = chunk.usage ?? usage;
    }
    return { pieces, usage, final: await stream.finalChatCompletion() };
  },
  /** The same of a response, with the types of its events. */
  async streamResponse() {
    const stream = client.responses.stream(request);
    const [pieces, events] = [[], []];
    for await (const event of stream) {
      events.push(event.type);
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    return { pieces, events, final: await stream.finalResponse() };
  },
};

try {
  console.log(JSON.stringify({ ok: await calls[call]() }));
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.log(JSON.stringify({ error: { name: error.constructor.name, status: error.status ?? null, type: error.type, message: error.message } }));
}
