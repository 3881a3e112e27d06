import { describe, expect, it } from 'vitest';
import { instructionConversation, readConversation, readTools } from './read-conversation.js';

const read = (cell: unknown) => readConversation(cell, 'row 3');
const call = { type: 'function', function: { name: 'weather', arguments: '{"town":"x"}' } };

describe('conversations', () => {
  it('are lists of messages, also as JSON', () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
    ];
    expect(read(messages)).toEqual(messages);
    expect(read(JSON.stringify(messages))).toEqual(messages);
  });

  it('keep the null content of a turn that calls tools', () =>
    expect(
      read([
        { role: 'user', content: 'weather?' },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', content: '7', tool_call_id: 'c1' },
        { role: 'assistant', tool_calls: [call] },
      ]),
    ).toEqual([
      { role: 'user', content: 'weather?' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', content: '7', tool_call_id: 'c1' },
      { role: 'assistant', content: null, tool_calls: [call] },
    ]));

  it("take OpenAI's former calls of functions for those of tools", () => {
    const answers = { role: 'function', name: 'weather', content: '7' };
    const called = { role: 'assistant', content: null, function_call: call.function };
    expect(read([called, answers])).toEqual([
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', name: 'weather', content: '7' },
    ]);
    expect(() => read([{ ...called, tool_calls: [call] }])).toThrow(
      'turn 0 of row 3 has function_call and tool_calls',
    );
    expect(() => read([{ ...called, function_call: 'weather' }])).toThrow(
      'the function_call of turn 0 of row 3 must name a function, got "weather"',
    );
  });

  it('lose fields that Parquet filled in with null', () =>
    expect(
      read([{ role: 'user', content: 'a', tool_calls: null, extra: [{ x: null, y: 1 }] }]),
    ).toEqual([{ role: 'user', content: 'a', extra: [{ y: 1 }] }]));

  it('join contents of text parts and name other parts', () => {
    const parts = [
      { type: 'text', text: 'one ' },
      { type: 'text', text: 'two' },
    ];
    expect(read([{ role: 'user', content: parts }])[0]!.content).toBe('one two');
    expect(() => read([{ role: 'user', content: [{ type: 'image', url: 'x' }] }])).toThrow(
      'the content of turn 0 of row 3 has a part of type "image"; only texts can be read.',
    );
  });

  it("have ShareGPT's keys and roles", () =>
    expect(
      read([
        { from: 'system', value: 's' },
        { from: 'human', value: 'q' },
        { from: 'gpt', value: 'a' },
      ]),
    ).toEqual([
      { role: 'system', content: 's' },
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ]));

  it("are read from Python's text, as pandas writes them to CSV", () =>
    expect(
      read(`[{'role': 'user', 'content': "it's"}\n {'content': 'a "b"', 'role': 'assistant'}]`),
    ).toEqual([
      { role: 'user', content: "it's" },
      { role: 'assistant', content: 'a "b"' },
    ]));

  it('have roles in small letters, and others as they are', () =>
    expect(
      read([
        { role: 'System', content: 's' },
        { from: 'Human', value: 'q' },
        { role: 'ASSISTANT ', content: 'a' },
        { role: 'Critic', content: 'c' },
      ]).map(({ role }) => role),
    ).toEqual(['system', 'user', 'assistant', 'Critic']));

  it('mark turns that are not learnt', () => {
    expect(
      read([
        { role: 'user', content: 'a', weight: 0 },
        { role: 'assistant', content: 'b', weight: 0 },
        { role: 'assistant', content: 'c', weight: 1 },
        { from: 'gpt', value: 'd', train: false },
        { from: 'gpt', value: 'e', train: true },
        { role: 'assistant', content: 'f', weight: 1, train: false },
      ]).map(({ content, weight }) => [content, weight]),
    ).toEqual([
      ['a', undefined],
      ['b', 0],
      ['c', undefined],
      ['d', 0],
      ['e', undefined],
      ['f', 0],
    ]);
    expect(() => read([{ role: 'assistant', content: 'a', weight: 0.5 }])).toThrow(
      'weight or train of turn 0 of row 3 must be 0 or 1, true or false, got 0.5.',
    );
    expect(() => read([{ role: 'user', content: 'a', train: true }])).toThrow(
      'turn 0 of row 3 (user) is marked to be learnt.',
    );
  });

  it("are made of Alpaca's instruction, input and output", () => {
    expect(instructionConversation({ instruction: 'Add.', input: '1 1', output: '2' })).toEqual([
      { role: 'user', content: 'Add.\n\n1 1' },
      { role: 'assistant', content: '2' },
    ]);
    expect(instructionConversation({ instruction: 'Add.', input: ' ' })).toEqual([
      { role: 'user', content: 'Add.' },
    ]);
  });

  it('that are none name row and turn', () => {
    expect(() => read('hello')).toThrow('row 3 must have a conversation, got "hello".');
    expect(() => read([{ role: 'user', content: 'a' }, { text: 'b' }])).toThrow(
      'turn 1 of row 3 has no role, got the keys "text".',
    );
    expect(() => read([{ role: 'assistant', content: null }])).toThrow(
      'turn 0 of row 3 (assistant) has neither content nor tool calls, got the keys "role", "content".',
    );
    expect(() => read([{ role: 'user', text: 'a' }])).toThrow(
      'turn 0 of row 3 (user) has neither content nor tool calls, got the keys "role", "text".',
    );
  });
});

describe('tools', () => {
  it('are lists, also as JSON; none are none', () => {
    expect(readTools([call], 'row 0')).toEqual([call]);
    expect(readTools(JSON.stringify([call]), 'row 0')).toEqual([call]);
    for (const none of [null, undefined, '', []]) expect(readTools(none, 'row 0')).toBeUndefined();
    expect(() => readTools('weather', 'row 0')).toThrow('row 0 must have a list of tools');
  });
});
