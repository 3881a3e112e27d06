/** Finds classes that are probably one, written in several ways. */
import type { Label, TableWarning } from '@peft/data';
import { show } from '@peft/errors';

/** Groups that a warning names. */
const NAMED = 3;

/** A warning of classes that differ in white space or capitals alone, if there are any. */
export function alikeClasses(classes: readonly Label[]): TableWarning | undefined {
  const groups = new Map<string, Label[]>();
  for (const label of classes) {
    const plain = String(label).trim().replaceAll(/\s+/gu, ' ').toLowerCase().normalize('NFKC');
    const alike = groups.get(plain);
    if (alike) alike.push(label);
    else groups.set(plain, [label]);
  }
  const alike = [...groups.values()].filter(({ length }) => length > 1);
  if (alike.length === 0) return undefined;
  const named = alike.slice(0, NAMED).map((labels) => labels.map(show).join(' and '));
  return {
    code: 'PEFT_LABEL_ALIKE',
    message:
      `classes differ in white space or capitals alone: ${named.join('; ')}` +
      `${alike.length > NAMED ? '; …' : ''}. Each is a class of its own.`,
    hint: 'write each label in one way, unless that is meant',
  };
}
