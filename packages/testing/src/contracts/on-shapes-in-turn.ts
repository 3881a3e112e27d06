import type { MethodName } from '@peft/core';
import type { MethodCase } from './method-contract-options.js';
import { tinyModels } from '../tiny-models.js';

/**
 * For a method with so many cases that each on each shape takes long: puts every case that is for
 * all shapes on one of them, the next case on the next.
 *
 * @param first index of the first case's shape in `tinyModels()`.
 */
export function onShapesInTurn<Case extends MethodCase<MethodName>>(
  cases: readonly Case[],
  first = 0,
): Case[] {
  const names = tinyModels().map(({ name }) => name);
  return cases.map((each, i) => ({ ...each, on: each.on ?? [names[(first + i) % names.length]!] }));
}
