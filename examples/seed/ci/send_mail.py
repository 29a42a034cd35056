"""Tell the team which step of the run broke; the file status holds what the steps said."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

message = EmailMessage()
message["From"], message["To"] = "flow@localhost", "team@localhost"
message["Subject"] = f"broken: {Path('status').read_text().split()[-1]}"
message.set_content(Path("status").read_text())
smtplib.SMTP("smtp", 8025).send_message(message)
print(message["Subject"])
