/** The application, listening: all of the service in one process, or what each worker of several does. */
import { createApp } from './app.setup.js';
import type { Config } from './config.js';
import { InFlight } from './in-flight.js';
import { returnStartupMemory } from './startup-memory.js';
import { startTracing, stopTracing } from './tracing/tracing.js';

export interface Serving {
  url: string;
  /** Serves on while others notice, then takes no further connections, answers the requests under way, and resolves when all of them have ended. */
  stop(): Promise<void>;
}

export async function serve(config: Config): Promise<Serving> {
  await startTracing(config);
  const app = await createApp(config);
  await app.init();
  await app.listen(config.port, config.host);
  returnStartupMemory();
  const stop = async () => {
    await app.get(InFlight).drain();
    await app.close();
    await stopTracing();
  };
  return { url: await app.getUrl(), stop };
}
