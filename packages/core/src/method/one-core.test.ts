import { lora } from '@peft/lora';
import { bert } from '@peft/models';
import { expect, test } from 'vitest';
import { attachAdapter } from '../adapter/attach-adapter.js';
import { describeModel } from '../model/form/describe-model.js';
import type { MethodSpec } from './peft-method.js';

const description = describeModel(bert, bert.parseConfig({ model_type: 'bert' }), { kind: 'none' });
const attach = (spec: MethodSpec) => attachAdapter('a', spec, description, undefined);
const withCore = (core: object | undefined): MethodSpec => ({
  name: 'lora',
  parts: lora({ rank: 2 }).parts.map((part) => ({ ...part, [Symbol.for('@peft/core')]: core })),
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
  expect(attach(lora({ rank: 2 })).wrappedSites.length).toBeGreaterThan(0);
  expect(attach(withCore(undefined)).wrappedSites.length).toBeGreaterThan(0);
});
