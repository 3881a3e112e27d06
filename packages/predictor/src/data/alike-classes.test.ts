import { expect, it } from 'vitest';
import { alikeClasses } from './alike-classes.js';

it('names classes that differ in white space or capitals', () => {
  expect(alikeClasses(['Pos', 'neg', 'pos', ' neg', 'other'])?.message).toBe(
    'classes differ in white space or capitals alone: "Pos" and "pos"; "neg" and " neg". ' +
      'Each is a class of its own.',
  );
  expect(alikeClasses(['New\u00a0York', 'New York'])).toMatchObject({ code: 'PEFT_LABEL_ALIKE' });
});

it('says nothing of others', () => {
  expect(alikeClasses(['B-PER', 'B-ORG', 'O', 'I-PER'])).toBeUndefined();
  expect(alikeClasses([0, 1, -1])).toBeUndefined();
  expect(alikeClasses([true, false])).toBeUndefined();
  expect(alikeClasses(['a-b', 'a b', 'ab'])).toBeUndefined();
});
