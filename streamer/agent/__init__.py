"""The tools by which an AI agent sees and touches a phone, and the server that offers them (MCP)."""
