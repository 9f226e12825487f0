@echo off
rem SPDX-License-Identifier: MIT
rem
rem Runs kirim's tests on this machine and writes what they say to report.txt, in the directory
rem where the command is given:
rem
rem     report.cmd                     the conformance suite on each reactor and family, all suites
rem     report.cmd --subject receive   of the conformance suite only this; see its --help
rem
rem Nothing leaves the machine: all traffic is on loopback. Ends with 1 if anything failed. A skip
rem (status 77, or told in the text) is not a failure.
setlocal
set here=%~dp0
set report=report.txt
set failed=0
set run=0
> %report% echo kirim on Windows
ver >> %report%
>> %report% echo %PROCESSOR_ARCHITECTURE%, %NUMBER_OF_PROCESSORS% processors
"%here%bin\kirim-probe.exe" >> %report% 2>&1
rem By a file: a command with a quoted name loses its quotes where the name has brackets.
"%here%bin\kirim-probe.exe" --reactors > %report%.reactors
if not %errorlevel%==0 (
    set failed=1
    echo kirim-probe.exe
    echo     FAILED: it does not tell the reactors
)
for /f %%r in (%report%.reactors) do (
    call :one kirim-conformance.exe --reactor %%r --family 4 %*
    call :one kirim-conformance.exe --reactor %%r --family 6 %*
)
del %report%.reactors
for /f %%t in ('dir /b "%here%tests\test_*.exe"') do call :one %%t
echo %run% programs run, %failed% failed
>> %report% echo %run% programs run, %failed% failed
if not %failed%==0 exit /b 1
exit /b 0

:one
set /a run+=1
echo %*
>> %report% echo.
>> %report% echo === %*
set program=%1
set words=
:word
shift
if not "%1"=="" (
    set words=%words% %1
    goto word
)
"%here%tests\%program%"%words% >> %report% 2>&1
set code=%errorlevel%
>> %report% echo === status %code%
if %code%==0 exit /b 0
if %code%==77 exit /b 0
set /a failed+=1
echo     FAILED: status %code%
exit /b 0
