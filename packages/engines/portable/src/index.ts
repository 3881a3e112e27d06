export { createPortableEngine, type PortableEngineOptions } from './portable-engine.js';
export { portableEngine } from './portable-definition.js';
export { portableSizing } from './portable-sizing.js';
