/** What an adapter on a model is and does at the moment. */
export interface AdapterStatus {
  readonly name: string;
  readonly methods: readonly string[];
  readonly isActive: boolean;
  readonly isMerged: boolean;
  readonly isTrainable: boolean;
  /** Sites where it stands in the forward pass. */
  readonly sites: number;
  /** Elements that it adds to the model. */
  readonly parameters: number;
  /** Elements that train, the model's own among them. */
  readonly trainableParameters: number;
}
