# SPDX-License-Identifier: ISC
"""The demo itself: two domains, a real DNS server, a letter and a bounce (tools/demo)."""

import subprocess
import unittest

from suite import BUILD, ROOT


class Demo(unittest.TestCase):
    def test_the_mail_flows_between_two_domains(self):
        done = subprocess.run([ROOT + "/tools/demo", BUILD], capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("The mail flows.", done.stdout)


if __name__ == "__main__":
    unittest.main()
