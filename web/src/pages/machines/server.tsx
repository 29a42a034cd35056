import { useQuery } from '@tanstack/react-query';
import { aboutOptions } from '@/api';
import { useMay } from '@/app/session';
import { Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Copy } from '@/ui/small';

/** The server itself, as far as the API tells of it. */
export function Server() {
  const about = useQuery(aboutOptions());
  const may = useMay();
  if (!about.data) return null;
  const { version, public_url } = about.data;
  return (
    <Section title="Server" bare>
      <Rows label="Server">
        <Row title="Version" meta={<span className="numbers">{version}</span>} />
        <Row title="Address" sub="What links and webhooks begin with." meta={<Address url={public_url} />} />
        {may('server.read') && (
          <Row
            title="Metrics"
            sub="In the text format of Prometheus, with a token that has the scope admin."
            meta={<Address url={`${public_url}/metrics`} />}
          />
        )}
        <Row
          title="API"
          sub="Its description, OpenAPI 3.1."
          meta={<Address url={`${public_url}/api/v1/openapi.json`} />}
        />
      </Rows>
    </Section>
  );
}

function Address({ url }: { url: string }) {
  return (
    <>
      <code>{url}</code>
      <Copy value={url} label={`Copy ${url}`} />
    </>
  );
}
