import { expect, test } from 'vitest';
import { check } from '@peft/errors';
import { describeModel } from '../model/load-model.js';
import { attachAdapter } from '../adapter/attach-adapter.js';
import { definePeftMethod } from './define-peft-method.js';
import { ones } from '../description/initializers.js';
import type { MethodSpec } from './peft-method.js';
import { bert } from '@peft/models';

declare module './peft-method.js' {
  interface PeftConfigs {
    'one-core': object;
  }
}

const gain = definePeftMethod<'one-core'>({
  name: 'one-core',
  parseConfig(input) {
    check.knownKeys('one-core', input, []);
    return {};
  },
  defaultTargets: () => ({ targets: 'all-linear' }),
  attach: {
    linear(site, _, context) {
      context.param('gain', [site.outFeatures], ones);
      return { forward: (x, base) => base(x) };
    },
  },
});
const description = describeModel(bert, bert.parseConfig({ model_type: 'bert' }), { kind: 'none' });
const attach = (spec: MethodSpec) => attachAdapter('a', spec, description, undefined);
const withCore = (core: object | undefined): MethodSpec => ({
  name: 'one-core',
  parts: gain().parts.map((part) => ({ ...part, [Symbol.for('@peft/core')]: core })),
});

test('a method of another copy of core is refused by name', () => {
  expect(() => attach(withCore({}))).toThrow(
    expect.objectContaining({
      code: 'PEFT_CORE_DUPLICATE',
      message: expect.stringContaining('npm ls @peft/core') as string,
    }),
  );
});

test('one of this copy, or put together by hand, attaches', () => {
  expect(attach(gain()).wrappedSites.length).toBeGreaterThan(0);
  expect(attach(withCore(undefined)).wrappedSites.length).toBeGreaterThan(0);
});
