export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

/** A refusal by the server, with a text fit for the reader. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** Reads an `application/problem+json` answer; anything else becomes a plain sentence. */
export async function readProblem(response: Response): Promise<ApiError> {
  const fallback = `The server answered ${response.status}.`;
  try {
    const body = (await response.json()) as {
      code?: string;
      detail?: string;
      title?: string;
      errors?: { path?: string; message?: string }[];
    };
    const fields = (body.errors ?? []).map((error) => error.message).filter(Boolean);
    const text = fields.length > 0 ? fields.join(" ") : (body.detail ?? body.title ?? fallback);
    return new ApiError(response.status, body.code ?? "UNKNOWN", text);
  } catch {
    return new ApiError(response.status, "UNKNOWN", fallback);
  }
}

/** The sentence to show for any error. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  return "The server cannot be reached. Check your connection and try again.";
}
