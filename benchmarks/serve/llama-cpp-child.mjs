/**
 * llama.cpp in a process of its own: `node llama-cpp-child.mjs LIBRARY MODEL THREADS SEQUENCES
 * CONTEXT`. Each message is a list of prompts and a number of tokens; the answer says when each token
 * came, in milliseconds since all prompts were handed over.
 */
import { pathToFileURL } from 'node:url';

const [library, modelPath, ...numbers] = process.argv.slice(2);
const [threads, sequences, contextSize] = numbers.map(Number);
const { getLlama } = await import(pathToFileURL(library).href);
const llama = await getLlama({
  build: 'never',
  gpu: false,
  logLevel: 'error',
  maxThreads: threads,
});
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ sequences, contextSize, threads });
const slots = Array.from({ length: sequences }, () => context.getSequence());

async function write(slot, prompt, count, began) {
  await slot.clearHistory();
  const tokenMs = [];
  for await (const _token of slot.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    tokenMs.push(performance.now() - began);
    if (tokenMs.length === count) break;
  }
  return tokenMs;
}

process.on('message', async ({ prompts, tokens }) => {
  const began = performance.now();
  const texts = prompts.map((prompt, n) => write(slots[n], prompt, tokens, began));
  process.send({ texts: await Promise.all(texts), seconds: (performance.now() - began) / 1000 });
});
process.send('ready');
