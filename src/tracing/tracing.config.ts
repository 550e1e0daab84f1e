/**
 * The part of the configuration that is about traces. The variables and what they mean are OpenTelemetry's own, so what
 * is known from other services holds here; the SDK reads them from the environment by itself. It would pass over a
 * mistake in silence, so they are checked here.
 */
import type { Environment } from '../environment.js';

const SAMPLERS = [
  ...['always_on', 'always_off', 'traceidratio'],
  ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
];

export function readTracing(env: Environment) {
  const common = env.text('OTEL_EXPORTER_OTLP_ENDPOINT', '');
  const own = env.text('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', '');
  const isDisabled = env.text('OTEL_SDK_DISABLED', 'false').toLowerCase() === 'true';
  const isNone = env.text('OTEL_TRACES_EXPORTER', 'otlp') === 'none';
  const traces = (own || common) !== '' && !isDisabled && !isNone;
  if (traces) check(env, { common, own });
  return {
    /** Whether spans are made and sent. Otherwise nothing of OpenTelemetry's SDK is loaded. */
    traces,
    /** What the service is called in traces, unless OTEL_RESOURCE_ATTRIBUTES names it. */
    traceServiceName: env.text('OTEL_SERVICE_NAME', 'asper-wallet'),
  };
}

/** Only where traces are on: a platform may set some of these for all of its services. */
function check(env: Environment, { common, own }: { common: string; own: string }): void {
  env.check(
    common === '' || isHttp(common),
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    common,
    'a URL such as http://collector:4318',
  );
  env.check(
    own === '' || isHttp(own),
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    own,
    'a URL such as http://collector:4318/v1/traces',
  );
  const protocol =
    env.text('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', '') || env.text('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/protobuf');
  env.check(protocol === 'http/protobuf', 'OTEL_EXPORTER_OTLP_PROTOCOL', protocol, 'http/protobuf');
  const exporter = env.text('OTEL_TRACES_EXPORTER', 'otlp');
  env.check(exporter === 'otlp', 'OTEL_TRACES_EXPORTER', exporter, 'otlp or none');
  const sampler = env.oneOf('OTEL_TRACES_SAMPLER', SAMPLERS, 'parentbased_always_on');
  const ratio = env.text('OTEL_TRACES_SAMPLER_ARG', '1');
  const isRatio = /^(\d+(\.\d*)?|\.\d+)$/.test(ratio) && Number(ratio) <= 1;
  if (sampler.endsWith('traceidratio')) env.check(isRatio, 'OTEL_TRACES_SAMPLER_ARG', ratio, 'a number from 0 to 1');
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
