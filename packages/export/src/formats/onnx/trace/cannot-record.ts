/** What a forward pass does that a graph of ONNX operators cannot. */
export class CannotRecord extends Error {}

/** @param what the sentence goes on: "onnx cannot record BERT: …" */
export const cannotRecord = (what: string): CannotRecord => new CannotRecord(what);
