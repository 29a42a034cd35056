/** An address of a delivery comes from outside: it is a link only when it leads to a page. */
export function ForgeLink({ url }: { url: string }) {
  if (!/^https?:\/\//i.test(url)) return url;
  return (
    <a href={url} rel="noreferrer noopener" target="_blank">
      {url}
    </a>
  );
}
