/** Files that share a process each begin on TensorFlow.js's cpu backend. */
import { afterAll } from 'vitest';

interface TensorFlowEngine {
  readonly backendName: string;
  findBackendFactory(name: string): unknown;
  setBackend(name: string): Promise<boolean>;
}

afterAll(async () => {
  // undefined where no file has loaded TensorFlow.js
  const engine = (globalThis as { _tfengine?: TensorFlowEngine })._tfengine;
  if (engine?.findBackendFactory('cpu') && engine.backendName !== 'cpu')
    await engine.setBackend('cpu');
});
