import { describe, expect, it } from 'vitest';
import { fullMatch, pythonPattern } from './path-pattern.js';

const LONG = `model.${'layers.0.'.repeat(20)}self_attn.q_proj`;

describe('a pattern on paths', () => {
  it('must match whole paths, in the spelling of Python', () => {
    const pattern = fullMatch(String.raw`(?i).*\.(?P<which>Q|V)_proj\Z`);
    expect(['a.q_proj', 'a.V_PROJ', 'a.q_proj.lora'].map((path) => pattern.test(path))).toEqual([
      true,
      true,
      false,
    ]);
    expect(pythonPattern('layersPattern', '(\\d+)').exec('h.12.mlp')![1]).toBe('12');
  });

  it.each(['(.+)+X', '(a|aa|.)*X', '.*.*.*.*.*.*.*.*.*.*X', '((.*)*)*X'])(
    'is given up after a second where it backtracks: %s',
    (text) => {
      const start = performance.now();
      expect(() => fullMatch(text).test(LONG)).toThrow(/takes over 1000 ms/);
      expect(performance.now() - start).toBeLessThan(5000);
    },
  );

  it.each(['(.+)+', '(?:q|k|v)+_proj', '(?:layers\\.\\d+\\.)*self_attn', '(.*)\\.(.*)\\.(.*)'])(
    'is matched within its time as without one: %s',
    (text) => {
      for (const path of [LONG, 'qkv_proj', 'layers.1.self_attn', 'a.b.c', 'ab'])
        expect(fullMatch(text).test(path)).toBe(new RegExp(`^(?:${text})$`).test(path));
    },
  );

  it('that is none is refused by name, and a long one is shown in part', () => {
    expect(() => fullMatch('(')).toThrow(/"\(" is not a regular expression/);
    expect(() => fullMatch('('.repeat(100_000))).toThrow(/…" is not a regular expression/);
  });
});
