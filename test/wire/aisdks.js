// SPDX-License-Identifier: Apache-2.0
// The official SDKs of two AI APIs, asked to do everyday work through a gateway: aisdks.js PLACE PORT. What they make of
// it is printed as JSON.
'use strict';
const path = require('path');
const [, , place, port] = process.argv;
const modules = path.join(place, 'node_modules');
const { Anthropic } = require(path.join(modules, '@anthropic-ai/sdk'));
const { OpenAI } = require(path.join(modules, 'openai'));

const messages = [{ role: 'user', content: 'hi' }];
const base = `http://127.0.0.1:${port}`;
const anthropic = new Anthropic({ apiKey: 'mine', baseURL: base, maxRetries: 0 });
const openai = new OpenAI({ apiKey: 'mine', baseURL: `${base}/v1`, maxRetries: 0 });

async function anthropicWhole() {
  const message = await anthropic.messages.create({ model: 'claude-opus-4-1', max_tokens: 100, messages });
  return [message.content[0].text, message.usage.input_tokens, message.usage.output_tokens];
}

async function anthropicStream() {
  const events = [];
  const stream = anthropic.messages.stream({ model: 'claude-opus-4-1', max_tokens: 100, messages });
  stream.on('streamEvent', (event) => events.push(event.type));
  const message = await stream.finalMessage();
  return [message.content[0].text, message.usage.input_tokens, message.usage.output_tokens, events];
}

async function anthropicLeft() {
  const stream = await anthropic.messages.create({ model: 'left', max_tokens: 100, messages, stream: true });
  for await (const event of stream) {
    if (event.type === 'message_start') break; // which aborts it
  }
  return 'left';
}

async function openaiWhole() {
  const answer = await openai.chat.completions.create({ model: 'gpt-4o', messages });
  return [answer.choices[0].message.content, answer.usage.prompt_tokens, answer.usage.completion_tokens];
}

async function openaiStream() {
  let text = '', usage = null, chunks = 0;
  const stream = await openai.chat.completions.create({
    model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    chunks++;
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  return [text, usage.prompt_tokens, usage.completion_tokens, chunks];
}

async function responsesStream() {
  const events = [];
  const stream = await openai.responses.create({ model: 'gpt-4o', input: 'hi', stream: true });
  for await (const event of stream) {
    events.push(event.type);
  }
  return events;
}

// An error of the gateway's own is one that the SDK understands.
async function refused() {
  try {
    await anthropic.messages.create({ model: 'nobody', max_tokens: 100, messages });
  } catch (error) {
    return [error.constructor.name, error.status, error.error?.error?.code];
  }
  return 'served';
}

(async () => {
  const done = {};
  for (const what of [anthropicWhole, anthropicStream, anthropicLeft, openaiWhole, openaiStream, responsesStream, refused]) {
    done[what.name] = await what();
  }
  console.log(JSON.stringify(done));
})().catch((error) => { console.error(error); process.exit(1); });
