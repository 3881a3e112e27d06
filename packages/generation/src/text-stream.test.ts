import { describe, expect, test } from 'vitest';
import { fixtureTokenizer } from '../test/fixture-models.js';
import { TextStream } from './text-stream.js';

const TEXTS = [
  'Love it 😍👍🏽 5/5 ⭐ naïve café ½',
  '音質はとても良いですが、充電に時間がかかります。',
  'Der Kühlschrank läuft leise – für diesen Preis völlig in Ordnung!',
];

/** The pieces of a text, and whether it was stopped. */
function pieces(
  tokenizer: ReturnType<typeof fixtureTokenizer>,
  text: string,
  stopStrings: readonly string[] = [],
): { readonly texts: string[]; readonly isStopped: boolean } {
  const stream = new TextStream(tokenizer, stopStrings);
  const texts: string[] = [];
  for (const id of tokenizer.ids(text)) {
    const piece = stream.push(id);
    texts.push(piece.text);
    if (piece.isStopped) return { texts, isStopped: true };
  }
  return { texts: [...texts, stream.end().text], isStopped: false };
}

describe('a stream of text', () => {
  test.each(['llama', 'mistral', 'gpt2', 't5', 'qwen3'])(
    'is the whole text in pieces, none of which cuts a character in two (%s)',
    (name) => {
      const tokenizer = fixtureTokenizer(name);
      for (const text of TEXTS) {
        const { texts } = pieces(tokenizer, text);
        expect(texts.join('')).toBe(tokenizer.decode(tokenizer.ids(text)));
        expect(texts.filter((piece) => piece !== '').length).toBeGreaterThan(5);
        expect(texts.some((piece) => piece.includes('\ufffd'))).toBe(
          tokenizer.decode(tokenizer.ids(text)).includes('\ufffd'),
        );
      }
    },
  );

  test('ends before a stop string that lies across tokens, and never shows a part of it', () => {
    const tokenizer = fixtureTokenizer('llama');
    for (const stop of ['zeit', '###', ' 12\n\n']) {
      const { texts, isStopped } = pieces(tokenizer, `one two ze ## 1 12 ${stop} three`, [
        'never there',
        stop,
      ]);
      expect(texts.join('')).toBe('one two ze ## 1 12 ');
      expect(isStopped).toBe(true);
    }
  });

  test('ends at a special token that is a stop string, which the text does not show', () => {
    const { texts, isStopped } = pieces(fixtureTokenizer('llama'), 'one two<|end_of_text|>three', [
      '<|end_of_text|>',
    ]);
    expect(texts.join('')).toBe('one two');
    expect(isStopped).toBe(true);
  });

  test('ends at a stop string of a special token and other text, and goes on past half of it', () => {
    const tokenizer = fixtureTokenizer('llama');
    const end = '<|end_of_text|>';
    for (const stop of [`${end}three`, `two${end}`, `o${end}th`]) {
      const { texts, isStopped } = pieces(tokenizer, `one two${end}three four`, [stop]);
      const whole = `one two${end}three four`;
      expect(texts.join('')).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(isStopped).toBe(true);
    }
    const other = pieces(tokenizer, `one two${end}three four`, [`${end}four`]);
    expect(other.texts.join('')).toBe('one twothree four');
    expect(other.isStopped).toBe(false);
  });

  test('hands out at its end what only looked like a stop string', () => {
    expect(pieces(fixtureTokenizer('gpt2'), 'a #', ['###']).texts.join('')).toBe('a #');
  });
});
