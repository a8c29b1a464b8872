/** The mynah: a speech bubble with the bird's bill and the yellow patch under its eye. */
export function Mark({ size = 32 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path className="mark-bill" d="M22 8.4c4 .6 7.6 2.7 9.6 6.1-2.3.5-6 .7-9.6.7Z" />
      <path className="mark-bill-below" d="M22 15.2c3.6 0 7.3-.2 9.6-.7-1.5 2.5-5 4.4-9.6 4.8Z" />
      <path
        className="mark-head"
        d="M14 3.5a11.5 11.5 0 1 1-5.9 21.4L2.6 28.6l1.7-6.7A11.5 11.5 0 0 1 14 3.5Z"
      />
      <path
        className="mark-bill"
        d="M19.2 14.2c-1.3 2-4.2 2.5-6.7 1.1-2-1.1-3.3-3.1-3.4-5.2 1.7 1.7 3.4 2.3 5.2 2.4 1.8.1 3.5.5 4.9 1.7Z"
      />
      <circle className="mark-eye" cx="17.6" cy="10.8" r="2.2" />
      <circle className="mark-pupil" cx="18.1" cy="10.8" r="1.2" />
    </svg>
  );
}
