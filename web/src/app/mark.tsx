/** The sign of the product: two steps and the edge between them. */
export function Mark({ size = 20 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path
        d="M8 8h7a5 5 0 0 1 5 5v6a5 5 0 0 0 5 5"
        fill="none"
        stroke="currentColor"
        strokeWidth="3.6"
        strokeLinecap="round"
      />
      <circle cx="8" cy="8" r="4.5" fill="currentColor" />
      <circle cx="25" cy="24" r="4.5" fill="currentColor" />
    </svg>
  );
}
