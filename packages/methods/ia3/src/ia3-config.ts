/** What IA3 can be told beside its targets. */
export interface Ia3Config {
  /**
   * Which of the targets are scaled at their input: names that a path ends with, or a regular
   * expression for whole paths. Default: the model family's feed-forward output layers.
   */
  readonly feedforwardModules?: readonly string[] | string;
  /** Start at 1, so that nothing changes at first. `false`: N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    ia3: Ia3Config;
  }
}
