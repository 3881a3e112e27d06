/** One way in which rows hold what a causal language model is to learn. */
import type { Table, TokenData } from '@peft/data';
import type { Prompt } from '@peft/generation';
import type { DataTools } from '../predictor-task.js';

export interface CausalFormat {
  /** Column of new rows. */
  readonly input: string;
  /** A new text is asked as a user's turn. */
  readonly isChat: boolean;
  /** @throws PEFT_DATA_INVALID */
  check(table: Table): void;
  examples(table: Table, tools: DataTools): Promise<TokenData>;
  /** What the model continues. */
  prompts(table: Table, tools: DataTools): readonly Prompt[];
  /** What it should generate; missing where there is no such thing. */
  references?(table: Table): readonly string[];
  /** Tokens that end a text beside those that the checkpoint names. */
  endIds?(tools: DataTools): readonly number[];
}
