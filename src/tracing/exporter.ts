/**
 * The SDK: which spans are kept, what they say of the process, and where they go. It reads OpenTelemetry's environment
 * variables by itself. Loaded only where traces are on.
 */
import { Logger } from '@nestjs/common';
import { diag, DiagLogLevel } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config.js';
import { Tracing } from './spans.js';

/** What is left at a shutdown has this long to leave; a collector that does not answer holds nobody up for longer. */
const FLUSH_MS_MAX = 2_000;
/** A collector that is away is told once in so long. */
const WARN_EVERY_MS = 60_000;

export function openTracing(config: Config): Tracing {
  warnNowAndThen();
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        ...{ 'service.name': config.traceServiceName, 'service.instance.id': randomUUID(), 'process.pid': process.pid },
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }));
  // Past its queue (OTEL_BSP_MAX_QUEUE_SIZE, 2,048 spans) spans are dropped: memory has a bound whatever the collector does.
  const processor = new BatchSpanProcessor(new OTLPTraceExporter());
  const spanProcessors = [processor];
  const provider = new BasicTracerProvider({ resource, spanProcessors });
  // What belongs to a span that is kept is kept as well, whatever the sampler would say of its own trace.
  const following = new BasicTracerProvider({ resource, spanProcessors, sampler: new AlwaysOnSampler() });
  return new Tracing(provider.getTracer('asper-wallet'), following.getTracer('asper-wallet'), async () => {
    const timer = new AbortController();
    const late = delay(FLUSH_MS_MAX, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([processor.shutdown().catch(() => undefined), late]);
    timer.abort();
  });
}

/** The SDK's own complaints: short, and few. Without a logger of ours they would be lost. */
function warnNowAndThen(): void {
  const logger = new Logger('Tracing');
  let warnedAt = -Infinity;
  const warn = (message: string) => {
    if (performance.now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = performance.now();
    logger.warn(`Spans are lost for now: ${reasonOf(message)}`);
  };
  const quiet = () => undefined;
  const diagLogger = { error: warn, warn, info: quiet, debug: quiet, verbose: quiet };
  diag.setLogger(diagLogger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

/** The SDK hands an error over as JSON, stack and all. */
function reasonOf(message: string): string {
  try {
    const { name, message: text, code } = JSON.parse(message) as Record<string, string | undefined>;
    return [name, text, code].filter(Boolean).join(': ').slice(0, 300);
  } catch {
    return message.slice(0, 300);
  }
}
