/** What a metric of texts is: predictions against one or more references each. */

/** One text, or several of which any will do. */
export type References = string | readonly string[];

/** A named score of texts against one or several references each. */
export interface TextMetric {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly greaterIsBetter: boolean;
  /** The best value there is. */
  readonly optimum: number;
  /**
   * @throws PEFT_METRIC_INPUT_INVALID unless each prediction has references, and there is at least
   *   one.
   */
  compute(predictions: readonly string[], references: readonly References[]): number;
}
