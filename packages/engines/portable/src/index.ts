export { createPortableEngine, type PortableEngineOptions } from './portable-engine.js';
