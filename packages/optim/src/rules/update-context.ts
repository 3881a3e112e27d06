/** Numbers of one update of one parameter. */
export interface UpdateContext {
  /** 1 in the parameter's first update. */
  readonly step: number;
  /** The schedule's rate times the group's scale. */
  readonly learningRate: number;
  /** The group's scale alone, for rules that make their own rate. */
  readonly learningRateScale: number;
  readonly weightDecay: number;
  readonly gradientScale: number;
  readonly shape: readonly number[];
}
