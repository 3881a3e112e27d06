export { createMethod, KINDS, type CreateMethodOptions, type MethodKind } from './create-method.js';
export { runCreateMethod, type Console } from './command-line.js';
